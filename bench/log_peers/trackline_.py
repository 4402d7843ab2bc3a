"""trackline.setup_logging, the whole ECS line: the handler on the root logger, one file a process, which it names itself."""

import logging
from pathlib import Path

import trackline
from common import LogPeer


class Trackline(LogPeer):
    name = "trackline setup_logging, ecs"
    fifo = False  # it rotates, so it opens files only, and names them
    lossy = True  # bounded: what there was no room for is counted, and said in the log

    def open(self, path):
        self.handle = trackline.setup_logging("bench", log_dir=Path(path).parent / "trackline", console=False)
        self.logger = logging.getLogger("bench.app")

    def log_file(self, path):
        return str(self.handle.stats().path or Path(path).parent / "trackline" / "bench.log")

    def set_id(self, own_id):
        trackline.TRACKING_ID.set(own_id)

    def log(self, number, action):
        self.logger.info("user %s did %s", number, action, extra={"user_id": number, "action": action})

    def close(self):
        self.handle.close()


PEERS = [Trackline()]
