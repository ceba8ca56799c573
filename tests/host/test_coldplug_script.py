# SPDX-License-Identifier: MIT
"""The script that limits coldplug in stage 2 to block devices, with stubs of all it calls."""

import subprocess
from pathlib import Path

import pytest

SCRIPT = Path(__file__).resolve().parents[2] / "dracut/93initoverlayfs-stage2/coldplug.sh"
UKI = "/sys/firmware/efi/efivars/StubPcrKernelImage-4a67b082-0a4c-41cf-b6c7-440b29bb8c4f"
ROOT = "ro root=UUID=1 rd.initoverlayfs.timeout=5 rd.shell=0 rd.systemd.show_status=1 nosplash"


class Machine:
    """The files and programs of a stage 2 that has found its root device."""

    def __init__(self, directory: Path) -> None:
        self.directory = directory
        self.words = ROOT
        self.status = {"udevadm": 0, "systemctl": 0}
        self.jobs = "12 initrd.target start waiting"
        self.hooks = {"devexists.sh": "true"}
        self.late = 0  # from this call of systemctl on, no device is pending
        self.lib = True
        self.programs: list[str] = []
        self.measured = False

    def block_devices_suffice(self) -> bool:
        """Run the script and return whether it skips the coldplug of other devices."""
        top = self.directory
        (top / "bin").mkdir(parents=True)
        for name in ("mkdir", "sh"):
            (top / "bin" / name).symlink_to(f"/bin/{name}")
        for name, status in self.status.items():
            text = f'#!/bin/sh\necho "{name} $*" >>{top}/calls\n'
            if name == "systemctl":
                calls = f"$(($(/usr/bin/wc -l <{top}/calls) - 1))"  # the first one is udevadm
                text += f"[ {calls} -ge {self.late} ] || echo '1 late.device start running'\n"
                text += f"/bin/cat <<'E'\n{self.jobs}\nE\n"
            self._program(top / "bin" / name, f"{text}exit {status}\n")
        finished = top / "hooks/initqueue/finished"
        finished.mkdir(parents=True)
        for name, text in self.hooks.items():
            (finished / name).write_text(text)
        (top / "words").write_text(self.words)
        if self.lib:
            (top / "lib").write_text(
                f"hookdir={top}/hooks\n"
                # with a pattern, as in dracut's function
                f'getcmdline() {{ for i in {top}/word*; do read -r l <"$i"; echo "$l"; done; }}\n'
                f"check_finished() {{ for f in {finished}/*; do . $f || return 1; done; }}\n"
            )
        for name in self.programs:
            self._program(top / "bin" / name, "#!/bin/sh\n")
        if self.measured:
            (top / "uki").touch()
        script = SCRIPT.read_text()
        for path, other in ((UKI, "uki"), ("/lib/dracut-lib.sh", "lib"), ("/run/", "run/")):
            assert path in script
            script = script.replace(path, f"{top}/{other}")
        subprocess.run(["/bin/sh", "-c", script], env={"PATH": f"{top}/bin"}, check=False)
        return (top / "run/initoverlayfs/root-found").exists()

    @staticmethod
    def _program(path: Path, text: str) -> None:
        path.write_text(text)
        path.chmod(0o755)


def test_root_device_is_found(tmp_path: Path) -> None:
    assert Machine(tmp_path).block_devices_suffice()
    calls = (tmp_path / "calls").read_text().splitlines()
    assert calls[0].startswith("udevadm trigger ") and "--subsystem-match=block" in calls[0]
    assert calls[1].startswith("systemctl list-jobs ")


@pytest.mark.parametrize(("late", "suffice"), [(3, True), (99, False)])
def test_script_waits_for_pending_devices_of_systemd(
    tmp_path: Path, late: int, suffice: bool
) -> None:
    machine = Machine(tmp_path)
    machine.late = late
    assert machine.block_devices_suffice() is suffice
    assert (tmp_path / "calls").read_text().count("systemctl") == (3 if suffice else 8)


@pytest.mark.parametrize(
    "word",
    [
        *("rd.initoverlayfs.coldplug=all", "rd.break", "rd.break=pre-mount", "rd.neednet=1"),
        *("ip=dhcp", "rd.luks.uuid=x", "rd.live.image", "rootflags=ro,logdev=/dev/sdb"),
    ],
)
def test_words_that_require_all_devices(tmp_path: Path, word: str) -> None:
    machine = Machine(tmp_path)
    machine.words += " " + word
    assert not machine.block_devices_suffice()
    assert not (tmp_path / "calls").exists()  # block devices are not triggered twice


@pytest.mark.parametrize(("program", "suffice"), [("plymouthd", False), ("other", True)])
def test_splash_screen_requires_all_devices_if_plymouth_is_there(
    tmp_path: Path, program: str, suffice: bool
) -> None:
    machine = Machine(tmp_path)
    machine.words += " splash"
    machine.programs = [program]
    assert machine.block_devices_suffice() is suffice


@pytest.mark.parametrize(
    "change",
    [
        {"lib": False},
        {"measured": True},
        {"hooks": {}},
        {"hooks": {"devexists.sh": "true", "other.sh": "false"}},
        {"jobs": "12 dev-disk-by\\x2duuid-2.device start running"},
        {"status": {"udevadm": 1, "systemctl": 0}},
        {"status": {"udevadm": 0, "systemctl": 1}},
    ],
    ids=str,
)
def test_doubt_requires_all_devices(tmp_path: Path, change: "dict[str, object]") -> None:
    machine = Machine(tmp_path)
    for name, value in change.items():
        setattr(machine, name, value)
    assert not machine.block_devices_suffice()
