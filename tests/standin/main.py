"""A stand-in for torchreid's ``scripts/main.py``: the same command line, order of work and imports, in our words.

It has to know nothing of promptreid, and it imports as the GitHub layout does. Videos are left out.
"""

import argparse
import os.path as osp
import sys
import time

import torch
import torchreid
from default_config import (
    engine_run_kwargs,
    get_default_config,
    imagedata_kwargs,
    lr_scheduler_kwargs,
    optimizer_kwargs,
)
from torchreid.utils import (
    Logger,
    check_isfile,
    collect_env_info,
    compute_model_complexity,
    load_pretrained_weights,
    resume_from_checkpoint,
    set_random_seed,
)


def build_datamanager(cfg):
    return torchreid.data.ImageDataManager(**imagedata_kwargs(cfg))


def build_engine(cfg, datamanager, model, optimizer, scheduler):
    common = {
        "optimizer": optimizer,
        "scheduler": scheduler,
        "use_gpu": cfg.use_gpu,
        "label_smooth": cfg.loss.softmax.label_smooth,
    }
    if cfg.loss.name == "softmax":
        return torchreid.engine.ImageSoftmaxEngine(datamanager, model, **common)
    return torchreid.engine.ImageTripletEngine(
        datamanager,
        model,
        margin=cfg.loss.triplet.margin,
        weight_t=cfg.loss.triplet.weight_t,
        weight_x=cfg.loss.triplet.weight_x,
        **common,
    )


def reset_config(cfg, args):
    for name in ("root", "sources", "targets", "transforms"):
        value = getattr(args, name)
        if value:
            setattr(cfg.data, name, value)


def check_cfg(cfg):
    if cfg.loss.name == "triplet" and cfg.loss.triplet.weight_x == 0:
        assert cfg.train.fixbase_epoch == 0, "the output of the classifier is not used by the loss"


def parse_args():
    parser = argparse.ArgumentParser(formatter_class=argparse.ArgumentDefaultsHelpFormatter)
    parser.add_argument("--config-file", type=str, default="", help="path to config file")
    parser.add_argument("-s", "--sources", type=str, nargs="+", help="source datasets")
    parser.add_argument("-t", "--targets", type=str, nargs="+", help="target datasets")
    parser.add_argument("--transforms", type=str, nargs="+", help="data augmentation")
    parser.add_argument("--root", type=str, default="", help="path to data root")
    parser.add_argument("opts", default=None, nargs=argparse.REMAINDER, help="KEY VALUE pairs")
    return parser.parse_args()


def build_cfg(args):
    cfg = get_default_config()
    cfg.use_gpu = torch.cuda.is_available()
    if args.config_file:
        cfg.merge_from_file(args.config_file)
    reset_config(cfg, args)
    cfg.merge_from_list(args.opts)
    set_random_seed(cfg.train.seed)
    check_cfg(cfg)
    return cfg


def build_trained(cfg, datamanager):
    model = torchreid.models.build_model(
        name=cfg.model.name,
        num_classes=datamanager.num_train_pids,
        loss=cfg.loss.name,
        pretrained=cfg.model.pretrained,
        use_gpu=cfg.use_gpu,
    )
    num_params, flops = compute_model_complexity(model, (1, 3, cfg.data.height, cfg.data.width))
    print(f"Model complexity: params={num_params:,} flops={flops:,}")
    if cfg.model.load_weights and check_isfile(cfg.model.load_weights):
        load_pretrained_weights(model, cfg.model.load_weights)
    if cfg.use_gpu:
        model = torch.nn.DataParallel(model).cuda()
    optimizer = torchreid.optim.build_optimizer(model, **optimizer_kwargs(cfg))
    scheduler = torchreid.optim.build_lr_scheduler(optimizer, **lr_scheduler_kwargs(cfg))
    if cfg.model.resume and check_isfile(cfg.model.resume):
        cfg.train.start_epoch = resume_from_checkpoint(cfg.model.resume, model, optimizer, scheduler)
    return model, optimizer, scheduler


def main():
    cfg = build_cfg(parse_args())
    log_name = "test.log" if cfg.test.evaluate else "train.log"
    sys.stdout = Logger(osp.join(cfg.data.save_dir, log_name + time.strftime("-%Y-%m-%d-%H-%M-%S")))
    print(f"Show configuration\n{cfg}\n")
    print(f"Collecting env info ...\n** System info **\n{collect_env_info()}\n")
    if cfg.use_gpu:
        torch.backends.cudnn.benchmark = True

    datamanager = build_datamanager(cfg)
    model, optimizer, scheduler = build_trained(cfg, datamanager)
    print(f"Building {cfg.loss.name}-engine for {cfg.data.type}-reid")
    engine = build_engine(cfg, datamanager, model, optimizer, scheduler)
    engine.run(**engine_run_kwargs(cfg))


if __name__ == "__main__":
    main()
