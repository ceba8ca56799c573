# SPDX-License-Identifier: MIT
"""The hooks for installed and removed kernels, run by dpkg and kernel-install in a Debian tree."""

import hashlib
import re
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest

from harness import cache, disk
from harness import guest as guests
from harness.privilege import in_tree

pytestmark = pytest.mark.timeout(900)

CONF = f"bootfs UUID={disk.BOOT_UUID}\nbootfstype ext4\nhostonly no\ninitoverlayfs_builder {{}}\n"
# Build a stage 2 without drivers, which are half of it and most of the time of a build.
QUICK = 'dracut --modules "systemd systemd-initrd base"'

# BOOT_ROOT: the directory for kernels in the layouts of systemd-boot.
INSTALL_CONF = "layout={}\ninitrd_generator=none\nBOOT_ROOT=/tmp\n"

HOOK = "initoverlayfs-install: "


class Machine:
    """A Debian tree with two kernels. The release of one is a prefix of the other release."""

    def __init__(self, tree: Path) -> None:
        self.tree = tree
        self.kver = guests.kernel_version(tree)
        self.longer = self.kver + "0"
        modules = "/usr/lib/modules/"
        self.do(f"cp -al {modules}{self.kver} {modules}{self.longer}; depmod {self.longer}")
        # kernel-install's depmod takes most of the time.
        self.do("ln -s /dev/null /etc/kernel/install.d/50-depmod.install")
        self.do(f"cp -al /boot/vmlinuz-{self.kver} /boot/vmlinuz-{self.longer}")
        self.write("etc/dracut.conf.d/quick.conf", 'dracutmodules="systemd systemd-initrd base"\n')
        self.write("etc/kernel/install.conf", INSTALL_CONF.format("other"))

    def write(self, name: str, text: str) -> None:
        guests.write(self.tree, name, text)

    def configure(self, builder: str = QUICK) -> None:
        self.write("etc/initoverlayfs.conf", CONF.format(builder))

    def do(self, script: str) -> str:
        """Run a script in the tree, assert that it succeeds, and return its standard error."""
        done = subprocess.run(
            in_tree(self.tree, ["sh", "-c", script]),
            stdin=subprocess.DEVNULL,
            capture_output=True,
            text=True,
        )
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stderr

    def package(self, script: str, release: str, *parameters: str) -> str:
        """Run a kernel package's postinst or postrm with parameters of dpkg."""
        line = f"linux-run-hooks image {script} {release} /boot/vmlinuz-{release} --"
        return self.do(" ".join((line, *parameters)))

    def kernel_install(self, command: str, release: str) -> str:
        image = f" /boot/vmlinuz-{release}" if command == "add" else ""
        return self.do(f"kernel-install {command} {release}{image}")

    def plugin(self, environment: str, command: str) -> str:
        """Run the plugin alone, with a shell prefix before it, and return its standard error."""
        plugin = "/usr/lib/kernel/install.d/60-initoverlayfs.install"
        return self.do(f"{environment} {plugin} {command} {self.kver} /tmp/entry /boot/vmlinuz")

    def boot(self, release: str) -> "dict[str, str]":
        """Return name -> digest of a kernel's files in /boot; V stands for the release."""
        names = [path.name for path in (self.tree / "boot").iterdir() if "init" in path.name]
        longer = [name for name in names if self.longer in name]
        return {
            name.replace(release, "V"): sha(self.tree / "boot" / name)
            for name in names
            if release in name and (name in longer) == (release == self.longer)
        }


def sha(path: Path) -> str:
    return hashlib.sha256(path.read_bytes()).hexdigest()


def failures(messages: str) -> "list[str]":
    """Return the messages of the hooks and of initoverlayfs-install, except progress."""
    lines = [line for line in messages.splitlines() if "initoverlayfs: " in line or HOOK in line]
    return [line for line in lines if not re.search(r": (building|writing) ", line)]


@pytest.fixture(scope="module")
def machine(deb: Path) -> Iterator[Machine]:
    directory = cache.home() / "hooks-tree"
    cache.remove(directory)
    try:
        guests.extract(guests.base(), directory)
        guests.configure(directory)
        guests.install(directory, deb)
        yield Machine(directory)
    finally:
        cache.remove(directory)


@pytest.fixture(scope="module")
def built(machine: Machine) -> Machine:
    """Install one kernel as its package does, and the other with kernel-install."""
    machine.configure()
    machine.package("postinst", machine.longer, "configure")
    machine.kernel_install("add", machine.kver)
    return machine


def test_hooks_do_nothing_without_bootfs(machine: Machine) -> None:
    machine.write("etc/initoverlayfs.conf", "timeout 5\n")
    kver = machine.kver
    for hook in ("postinst", "postrm"):
        assert machine.do(f"/etc/kernel/{hook}.d/initoverlayfs {kver} /boot/vmlinuz-{kver}") == ""
    for layout in ("other", "bls"):
        for command in ("add", "remove"):
            assert machine.plugin(f"KERNEL_INSTALL_LAYOUT={layout}", command) == ""
    assert machine.boot(kver) == {}


def test_hooks_run_between_those_of_dracut_and_the_boot_loader(machine: Machine) -> None:
    script = "cd /etc/kernel; for hook in postinst postrm; do : >$hook.d/zz-update-grub; "
    script += (
        "chmod 755 $hook.d/zz-update-grub; run-parts --test $hook.d; rm $hook.d/zz-*; done >&2"
    )
    names = [line.split("/")[-1] for line in machine.do(script).splitlines()]
    assert names == ["dracut", "initoverlayfs", "zz-update-grub"] * 2
    plugins = sorted(path.name for path in (machine.tree / "usr/lib/kernel/install.d").iterdir())
    plugin = plugins.index("60-initoverlayfs.install")
    assert plugins.index("50-dracut.install") < plugin < plugins.index("90-loaderentry.install")
    shown = machine.do("dpkg-query -W -f '${Conffiles}' initoverlayfs >&2")
    assert [line.split()[0] for line in shown.splitlines() if line] == [
        "/etc/initramfs/post-update.d/initoverlayfs",
        "/etc/kernel/postinst.d/initoverlayfs",
        "/etc/kernel/postrm.d/initoverlayfs",
    ]


def test_installed_kernel_gets_a_pair(built: Machine) -> None:
    pair = {"initrd.img-V", "initoverlayfs-V.img"}
    # dracut's hook has made a plain initramfs before.
    assert set(built.boot(built.longer)) == {*pair, "initrd.img-V.dracut"}
    assert set(built.boot(built.kver)) == pair
    for release in (built.longer, built.kver):
        shown = built.do(f"lsinitrd --mod /boot/initrd.img-{release} >&2").split()
        assert "initoverlayfs" in shown and "systemd" not in shown


def test_hooks_ignore_other_dpkg_actions(built: Machine) -> None:
    before = built.boot(built.longer)
    for script, parameters in (
        ("postinst", ("triggered", "update-initramfs")),
        ("postinst", ("abort-remove",)),
        ("postrm", ("upgrade", "6.1")),
        ("postrm", ("purge",)),
    ):
        assert built.package(script, built.longer, *parameters) == ""
    assert built.boot(built.longer) == before


def test_pair_is_rebuilt_after_a_trigger_but_not_after_dracut_by_hand(built: Machine) -> None:
    initramfs = f"/boot/initrd.img-{built.longer}"
    before = built.boot(built.longer)
    built.do(f"dracut --quiet --force {initramfs} {built.longer}")
    plain = built.boot(built.longer)
    assert [name for name in before if plain[name] != before[name]] == ["initrd.img-V"]
    built.do("dpkg-trigger --by-package=kmod update-initramfs; dpkg --triggers-only --pending")
    after = built.boot(built.longer)
    assert after["initrd.img-V"] == before["initrd.img-V"]
    assert set(after) == set(before)


def test_failed_build_changes_nothing(built: Machine) -> None:
    before = built.boot(built.longer), built.boot(built.kver)
    built.configure("/bin/false")
    line = f"run-parts --exit-on-error --regex ^initoverlayfs --arg={built.longer}"
    reason = HOOK + "/bin/false failed with exit status 1; add -v to see its full output"
    unchanged = "initoverlayfs: no images built for Linux {}, its initramfs is unchanged"
    printed = failures(built.do(line + " /etc/kernel/postinst.d"))
    assert printed == [reason, unchanged.format(built.longer)]
    assert failures(built.kernel_install("add", built.kver)) == [
        reason,
        unchanged.format(built.kver),
    ]
    by_trigger = "DPKG_MAINTSCRIPT_PACKAGE=dracut /etc/initramfs/post-update.d/initoverlayfs"
    printed = failures(built.do(f"{by_trigger} {built.kver} /boot/initrd.img-{built.kver}"))
    assert printed == [reason, unchanged.format(built.kver)]
    assert (built.boot(built.longer), built.boot(built.kver)) == before
    built.configure()


def test_failed_removal_keeps_the_files(built: Machine) -> None:
    before = built.boot(built.longer), built.boot(built.kver)
    lock = "exec 9>/var/cache/initoverlayfs/lock; flock 9;"
    remain = "initoverlayfs: files of Linux {0} remain on /boot; to remove them, run:"
    remain += " initoverlayfs-install --remove --kver {0}"
    for release, line in (
        (built.longer, f"/etc/kernel/postrm.d/initoverlayfs {built.longer}"),
        (built.kver, f"kernel-install remove {built.kver}"),
    ):
        printed = failures(built.do(f"{lock} {line}"))
        assert len(printed) == 2 and "another initoverlayfs-install is running" in printed[0]
        assert printed[1] == remain.format(release)
    assert (built.boot(built.longer), built.boot(built.kver)) == before


def test_layouts_without_an_initramfs_in_boot_are_skipped(built: Machine) -> None:
    before = built.boot(built.kver)
    line = f"initoverlayfs: skipping Linux {built.kver}: kernel-install's layout "
    line += "{} has no initramfs in /boot"
    built.write("etc/kernel/install.conf", INSTALL_CONF.format("bls"))
    assert failures(built.kernel_install("add", built.kver)) == [line.format("bls")]
    built.write("etc/kernel/install.conf", INSTALL_CONF.format("other"))
    for environment, layout in (
        ("KERNEL_INSTALL_LAYOUT=bls", "bls"),
        ("KERNEL_INSTALL_LAYOUT=uki", "uki"),
        ("KERNEL_INSTALL_LAYOUT=other KERNEL_INSTALL_IMAGE_TYPE=uki", "uki"),
        ("mkdir /tmp/entry;", "bls"),  # systemd before 250
    ):
        for command in ("add", "remove"):
            assert built.plugin(environment, command) == line.format(layout) + "\n"
    assert built.boot(built.kver) == before


def test_initramfs_from_the_caller_is_kept(built: Machine) -> None:
    before = built.boot(built.kver)
    image = f"/boot/vmlinuz-{built.kver} /boot/initrd.img-{built.kver}"
    assert failures(built.do(f"kernel-install add {built.kver} {image}")) == []
    assert built.boot(built.kver) == before


def test_removed_kernel_loses_only_its_own_files(built: Machine) -> None:
    built.configure()
    names = (
        "initoverlayfs-{}.img.previous",
        ".initoverlayfs-{}.img.new.tmp",
        "initrd.img-{}.previous",
    )
    for release in (built.kver, built.longer):
        built.do(f"cd /boot; touch {' '.join(name.format(release) for name in names)}")
    others = built.boot(built.longer)
    built.kernel_install("remove", built.kver)
    assert (built.boot(built.kver), built.boot(built.longer)) == ({}, others)
    built.kernel_install("add", built.kver)
    others = built.boot(built.kver)
    built.package("postrm", built.longer, "remove")
    assert (built.boot(built.longer), built.boot(built.kver)) == ({}, others)


def test_hooks_do_nothing_after_the_package_is_removed(built: Machine) -> None:
    before = built.boot(built.kver)
    built.do("dpkg --remove initoverlayfs")
    for hook in ("postinst", "postrm"):
        assert built.do(f"/etc/kernel/{hook}.d/initoverlayfs {built.kver}") == ""
    assert built.boot(built.kver) == before
