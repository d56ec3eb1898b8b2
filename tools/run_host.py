"""Run a script of torchreid's with promptreid registered: python tools/run_host.py scripts/main.py [ARGUMENT ...].

``promptreid host``, by the name that it has in this checkout.
"""

from promptreid.cli import run_verb

if __name__ == "__main__":
    run_verb("host")
