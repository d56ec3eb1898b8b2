"""Trained models as files that other runtimes read: ONNX, OpenVINO and TorchScript."""
