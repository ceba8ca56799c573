# SPDX-License-Identifier: MIT
"""Storage layouts as Debian's installer and administrators make them, on /dev/ubda and /dev/ubdb.

Runs in user-mode Linux, whose kernel has device-mapper, md and btrfs whether or not this machine's
has them. task.json in the directory that is its argument is one of

    {"decide": [LAYOUT, ...]}  make each layout, mount it as /boot, and note what
                               initoverlayfs-install decides: its refusal, or "" if it accepts
    {"make": LAYOUT, "tree": TAR, "fstab": TEXT}  make one layout on /dev/ubda with a system on it

result.json lists what was decided, or is empty.
"""

import json
import subprocess
import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Any

ROOT_UUID = "2b3a0000-0000-4000-8000-00000000aaaa"
BOOT_UUID = "1a3a0000-0000-4000-8000-00000000bbbb"
_LUKS_UUID = "3c3a0000-0000-4000-8000-00000000cccc"

_MODULES = (
    *("drivers/md/md-mod", "drivers/md/raid0", "drivers/md/raid1", "drivers/block/loop"),
    *("crypto/gf128mul", "crypto/cbc", "crypto/ecb", "crypto/xts", "crypto/hmac", "crypto/cryptd"),
    *("crypto/af_alg", "crypto/algif_skcipher"),
    *("security/keys/encrypted-keys/encrypted-keys", "drivers/md/dm-crypt"),
)

# Functions for the scripts below.
_SHELL = f"""
partitions() {{ printf "label: gpt\\n$1" | sfdisk -q -w always -W always /dev/ubda; }}
array() {{ mdadm --create $1 --run -l$2 -n2 --assume-clean --metadata=1.2 $3 $4; }}
volume() {{ pvcreate -qy -ff $1; vgcreate -An vg $1; lvcreate -An -y -Zn -n root -l 90%FREE \\
    --config 'activation{{udev_sync=0 udev_rules=0}} backup{{backup=0 archive=0}}' vg
    dmsetup mknodes; }}
luks() {{ printf secret | cryptsetup luksFormat -q --type luks2 --pbkdf pbkdf2 \\
    --pbkdf-force-iterations 1000 --luks2-keyslots-size 512k --uuid {_LUKS_UUID} $1 -
    printf secret | cryptsetup open $1 c --key-file -; }}
ext4() {{ mkfs.ext4 -q -F -E nodiscard,lazy_journal_init -U $1 $2; }}
root() {{ ext4 {ROOT_UUID} $1; }}
boot() {{ ext4 {BOOT_UUID} $1; }}
"""


@dataclass(frozen=True)
class Layout:
    """The script that makes it, the devices of / and of /boot ("": in /), the script that ends it.

    refused: what initoverlayfs-install must say of it; "" if it must accept it.
    """

    make: str
    root: str
    boot: str = ""
    end: str = ":"
    refused: str = ""


_TWO = ",500M,L\\n,,L\\n"
_LVM_END = "vgchange -qan vg"
_RAID1 = """partitions ',500M,R\\n,2500M,R\\n,500M,R\\n,2400M,R\\n'
    array /dev/md0 1 /dev/ubda1 /dev/ubda3; array /dev/md1 1 /dev/ubda2 /dev/ubda4
    root /dev/md1; boot /dev/md0"""
_RAID_END = "mdadm -q --stop /dev/md0 /dev/md1"

LAYOUTS = {
    "single": Layout("partitions ',,L\\n'; root /dev/ubda1", "/dev/ubda1"),
    "two": Layout(
        f"partitions '{_TWO}'; root /dev/ubda2; boot /dev/ubda1", "/dev/ubda2", "/dev/ubda1"
    ),
    "disk": Layout("root /dev/ubda", "/dev/ubda"),
    "esp": Layout(
        "partitions ',600M,U\\n,,L\\n'; mkfs.vfat -F32 -i 12ab34cd /dev/ubda1; root /dev/ubda2",
        "/dev/ubda2",
        "/dev/ubda1",
    ),
    "xfs": Layout(
        f"partitions ',,L\\n'; mkfs.xfs -qKf -m uuid={ROOT_UUID} /dev/ubda1", "/dev/ubda1"
    ),
    "btrfs": Layout(
        f"partitions ',,L\\n'; mkfs.btrfs -qKf -U {ROOT_UUID} /dev/ubda1", "/dev/ubda1"
    ),
    # the root filesystem may be on anything
    "crypt_root": Layout(
        f"partitions '{_TWO}'; luks /dev/ubda2; root /dev/mapper/c; boot /dev/ubda1",
        "/dev/mapper/c",
        "/dev/ubda1",
        "cryptsetup close c",
    ),
    "crypt": Layout(
        "partitions ',,L\\n'; luks /dev/ubda1; root /dev/mapper/c",
        "/dev/mapper/c",
        end="cryptsetup close c",
        refused="dm-crypt (LUKS) (c)",
    ),
    "lvm": Layout(
        "partitions ',,V\\n'; volume /dev/ubda1; root /dev/vg/root",
        "/dev/mapper/vg-root",
        end=_LVM_END,
        refused="LVM (vg-root)",
    ),
    "crypt_lvm": Layout(
        "partitions ',,V\\n'; luks /dev/ubda1; volume /dev/mapper/c; root /dev/vg/root",
        "/dev/mapper/vg-root",
        end=_LVM_END + "; cryptsetup close c",
        refused="LVM (vg-root)",
    ),
    "raid1": Layout(_RAID1, "/dev/md1", "/dev/md0", _RAID_END, "md RAID 1 (md0)"),
    "raid0": Layout(
        "array /dev/md0 0 /dev/ubda /dev/ubdb; root /dev/md0",
        "/dev/md0",
        end="mdadm -q --stop /dev/md0",
        refused="md RAID 0 (md0)",
    ),
    "btrfs_raid1": Layout(
        f"mkfs.btrfs -qKf -U {ROOT_UUID} -d raid1 -m raid1 /dev/ubda /dev/ubdb; btrfs device scan",
        "/dev/ubda",
        refused="btrfs on several devices (ubda, ubdb)",
    ),
    "journal": Layout(
        "mke2fs -qF -E nodiscard -O journal_dev /dev/ubdb 16M;"
        f"mkfs.ext4 -qF -E nodiscard -U {ROOT_UUID} -J device=/dev/ubdb /dev/ubda",
        "/dev/ubda",
        refused="an ext4 with its journal on another device",
    ),
    "linear": Layout(
        "dmsetup create --noudevsync m --table '0 2000000 linear /dev/ubda 2048'; dmsetup mknodes"
        "; root /dev/mapper/m",
        "/dev/mapper/m",
        end="dmsetup remove --noudevsync m",
        refused="device-mapper (m)",
    ),
    # as an image builder does it
    "loop": Layout(
        "losetup /dev/loop0 /dev/ubda; root /dev/loop0",
        "/dev/loop0",
        end="losetup -d /dev/loop0",
    ),
}


def shell(script: str) -> None:
    """Run a script with the functions above; its output is shown if it fails."""
    done = subprocess.run(
        ["sh", "-exc", _SHELL + script],
        stdin=subprocess.DEVNULL,
        stdout=subprocess.PIPE,
        stderr=subprocess.STDOUT,
        text=True,
        env={"PATH": "/usr/sbin:/usr/bin:/sbin:/bin", "DM_DISABLE_UDEV": "1", "HOME": "/run"},
    )
    if done.returncode:
        raise RuntimeError(f"{script}\n{done.stdout}")


def decided(layout: Layout) -> str:
    """Return why initoverlayfs-install refuses the layout, "" if it accepts it."""
    from initoverlayfs.errors import Failure
    from initoverlayfs.machine import bootfs, reachable
    from initoverlayfs.target import Target

    mount = f"mount {layout.boot or layout.root} /boot"
    shell(f"wipefs -aq /dev/ubda /dev/ubdb; {layout.make}; {mount}")
    try:
        target = Target(Path("/"))
        reachable.require(target, "release", bootfs.find(target))
        return ""
    except Failure as failure:
        return str(failure)
    finally:
        shell("umount /boot;" + layout.end)


def make(layout: Layout, tree: str, fstab: str) -> None:
    """Make a layout with the system of a tar file on it."""
    mnt = "/run/mnt"
    boot = f"mount {layout.boot} {mnt}/boot;" if layout.boot else ""
    write = f"cat >{mnt}/etc/fstab <<'X'\n{fstab}X\n"
    shell(
        f"{layout.make}; mkdir {mnt}; mount {layout.root} {mnt}; mkdir {mnt}/boot; {boot}"
        # vfat has neither owners nor links
        f"tar -C {mnt} --numeric-owner --exclude=./boot -xf {tree}\n{write}"
        f"tar -C {mnt} --no-same-owner -xf {tree} ./boot\nsync; umount -R {mnt}; {layout.end}; sync"
    )


def main(directory: Path) -> None:
    """Do what task.json says."""
    task: dict[str, Any] = json.loads((directory / "task.json").read_text())
    modules = " ".join(_MODULES)
    shell(
        f"cd /usr/lib/uml/modules/$(uname -r)/kernel; for module in {modules}; do insmod $module.ko"
        "; done"
    )
    # mdadm's and LVM's locks, and no filesystem of this machine's
    shell("mkdir -p /run/lock/lvm /run/lvm /run/mdadm; mount --bind /dev/null /etc/fstab")
    result: list[dict[str, str]] = []
    if "make" in task:
        make(LAYOUTS[task["make"]], task["tree"], task["fstab"])
    for name in task.get("decide", ()):
        result.append({"layout": name, "refusal": decided(LAYOUTS[name])})
    (directory / "result.json").write_text(json.dumps(result))


if __name__ == "__main__":
    main(Path(sys.argv[1]))
