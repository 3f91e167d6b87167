"""What runs inside the hall's namespaces: pcscd with one virtual reader per station, and the station processes.

Started by `simulators.hall` with its plan (`Plan`, JSON) as the only argument; prints "ready" once pcscd and every
station run, and ends with everything it started when its stdin ends. As process 1 of a PID namespace its end is the end
of all of them. A station process that dies is started again, like a machine that is switched on again, and so is pcscd,
as a service manager would; one that cannot live ends the room with status 4.
"""

import fcntl
import json
import os
import shutil
import socket
import struct
import subprocess
import sys
import time
from dataclasses import asdict, dataclass
from pathlib import Path

from simulators.lifetime import end_with_parent

PCSCD_GONE = 4
SHORT_LIFE_SECONDS = 1.0
MOST_SHORT_LIVES = 3
"""In a row: then pcscd cannot live here, and starting it again helps nobody."""

DRIVER_PLACES = (
    Path("/usr/lib/pcsc/drivers/serial/libifdvpcd.so"),  # Debian
    Path("/usr/lib64/pcsc/drivers/serial/libifdvpcd.so"),
    Path("/usr/local/lib/pcsc/drivers/serial/libifdvpcd.so"),
)

# pcscd sees nothing of the host but its own folder: its /run holds our reader.conf directory, our copies of the driver
# and the place of its socket, and its drivers for USB readers are gone, so that the host's readers stay the host's.
_OWN_RUN = (
    'mount --bind "$1" /run && '
    'for d in /usr/lib/pcsc/drivers /usr/lib64/pcsc/drivers; do [ ! -d $d ] || mount --bind "$1/none" $d; done && '
    'cd / && shift && exec "$@"'
)


@dataclass(frozen=True, slots=True)
class Reader:
    """A reader: its friendly name and the port where vpcd waits for a card."""

    friendly_name: str
    port: int

    @property
    def name(self) -> str:
        """What PC/SC calls it. pcscd appends the reader's number among those of one driver file, and the slot; every
        reader has a driver file of its own, and a station uses slot 0 of the two that vpcd offers."""
        return f"{self.friendly_name} 00 00"


@dataclass(frozen=True, slots=True)
class Plan:
    """The commands of the station processes, and pcscd's folder (None: no pcscd)."""

    stations: tuple[tuple[str, ...], ...]
    pcscd_folder: str | None

    def to_json(self) -> str:
        """The argument of this program."""
        return json.dumps(asdict(self))


def lay_out(folder: Path, readers: tuple[Reader, ...]) -> Path:
    """Fill pcscd's folder; the socket that clients will use. Raises `FileNotFoundError` without vpcd's driver.

    libifdvpcd is not thread-safe, so pcscd serves all readers of one driver file one after the other: each reader gets
    a copy of its own.
    """
    driver = next((place for place in DRIVER_PLACES if place.exists()), None)
    if driver is None:
        raise FileNotFoundError("vsmartcard-vpcd (libifdvpcd.so) is not installed")
    for name in ("readers", "pcscd", "none"):
        (folder / name).mkdir(parents=True)
    for number, reader in enumerate(readers):
        shutil.copyfile(driver, folder / f"reader{number}.so")
        (folder / "readers" / f"reader{number}").write_text(
            f'FRIENDLYNAME "{reader.friendly_name}"\n'
            f"DEVICENAME /dev/null:{reader.port:#06X}\n"
            f"LIBPATH /run/reader{number}.so\n"
            f"CHANNELID {reader.port:#06X}\n"
        )
    return folder / "pcscd" / "pcscd.comm"


def main() -> None:
    """Run the plan until stdin ends."""
    plan = json.loads(sys.argv[1])
    end_with_parent(lambda: os._exit(0))
    folder = None if plan["pcscd_folder"] is None else Path(plan["pcscd_folder"])
    pcscd = None
    if folder is not None:
        _loopback_up()
        pcscd = _start_pcscd(folder)
    stations = {}
    for command in plan["stations"]:
        process = subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE)
        stations[process.pid] = process
    for process in stations.values():
        if process.stdout is None or not process.stdout.readline():
            raise SystemExit("a station process did not start")
    sys.stdout.write("ready\n")
    sys.stdout.flush()
    _supervise(folder, pcscd, stations)


def _start_pcscd(folder: Path) -> subprocess.Popen[bytes]:
    for left in (folder / "pcscd").iterdir():
        left.unlink()  # the process id and the socket of one that was killed: a new one refuses to start beside them
    command = ["unshare", "--mount", "sh", "-c", _OWN_RUN, "sh", str(folder)]
    command += ["pcscd", "--foreground", "--config", "/run/readers"]
    if b"--disable-polkit" in subprocess.run(["pcscd", "--help"], check=False, capture_output=True).stdout:
        command.append("--disable-polkit")  # polkit's bus is outside; the folder's permissions decide
    with (folder / "pcscd.log").open("ab") as log:
        return subprocess.Popen(command, stdin=subprocess.DEVNULL, stdout=log, stderr=log)


def _supervise(
    folder: Path | None, pcscd: subprocess.Popen[bytes] | None, stations: dict[int, subprocess.Popen[bytes]]
) -> None:
    started, short_lives = time.monotonic(), 0
    while True:
        ended, _ = os.wait()
        if folder is not None and pcscd is not None and ended == pcscd.pid:
            short_lives = short_lives + 1 if time.monotonic() - started < SHORT_LIFE_SECONDS else 0
            if short_lives == MOST_SHORT_LIVES:
                raise SystemExit(PCSCD_GONE)
            pcscd, started = _start_pcscd(folder), time.monotonic()
            continue
        dead = stations.pop(ended, None)
        if dead is not None:
            time.sleep(0.1)
            again = subprocess.Popen(dead.args, stdin=subprocess.PIPE, stdout=subprocess.DEVNULL)
            stations[again.pid] = again


def _loopback_up() -> None:
    """`ip link set lo up` (netdevice(7): SIOCGIFFLAGS, SIOCSIFFLAGS, IFF_UP)."""
    with socket.socket(socket.AF_INET, socket.SOCK_DGRAM) as link:
        answer = fcntl.ioctl(link, 0x8913, struct.pack("16sh14x", b"lo", 0))
        flags = struct.unpack("16sh14x", answer)[1]
        fcntl.ioctl(link, 0x8914, struct.pack("16sh14x", b"lo", flags | 1))


if __name__ == "__main__":
    main()
