# SPDX-License-Identifier: MIT
import json

from test_finder import block_event
from test_locate import in_pieces
from test_modules import SSSE3, hashing
from test_pid1 import IMAGE, UUID, machine, start, stated

from storage_init.boot import prompt
from storage_init.formats import binding


def asking(ask, fake, kernel):
    """A boot with this in place of prompt.ask: what it logs."""
    kept = prompt.ask
    prompt.ask = ask
    try:
        return start(fake, kernel)
    finally:
        prompt.ask = kept


def test_starting_over_with_other_settings():
    fake, kernel, _ = machine("rd.shell rd.timeout=1", "bootfs UUID=dead\n")
    asked = []

    def ask(kernel, log, children, why, lines, last):
        asked.append((last, [line for line in lines if line.startswith("> ")]))
        raise prompt.Retry({"bootfs": "UUID=" + UUID})

    lines = asking(ask, fake, kernel)
    assert asked == [(True, ["> open the rescue prompt"])]
    assert "<6>initoverlayfs: starting over\n" in lines and "sc_execve" in fake.names()
    assert json.loads(fake.files["/run/initoverlayfs/boot.json"])["attempt"] == "image"


def test_the_prompt_comes_again_when_what_it_prepared_does_not_boot():
    fake, kernel, _ = machine("rd.shell", None)
    del fake.files["/initoverlayfs/init"]
    answers = [True, True, False]
    lines = asking(lambda *_: answers.pop(0), fake, kernel)
    assert answers == []
    rescue = [line for line in lines if line.startswith("<3>initoverlayfs: rescue: ")]
    assert len(rescue) == 3 and "no init to run" in rescue[0] and "the prompt was left" in rescue[2]
    assert "sc_execve" not in fake.names()


def test_a_break_point_left_goes_on():
    fake, kernel, _ = machine("rd.break")
    asked = []
    asking(lambda kernel, log, children, why, lines, last: asked.append(why), fake, kernel)
    assert len(asked) == 1 and asked[0].startswith("before: move /dev")
    assert "sc_execve" in fake.names()


def test_without_a_console_there_is_no_prompt_and_no_end_of_asking():
    fake, kernel, _ = machine("rd.shell", None)
    asked = []

    def fail(*_):
        asked.append(1)
        raise OSError(19, "open /dev/console: no such device")

    lines = asking(fail, fake, kernel)
    assert asked == [1] and "rescue: open /dev/console" in lines[-1]


def test_memory_that_runs_out_costs_one_attempt():
    fake, kernel, _ = machine()
    fake.files[IMAGE + ".previous"] = fake.files[IMAGE]
    mount = fake.sc_mount
    failed = []

    def fail(source, target, *rest):
        if target == "/stage1/image" and not failed:
            failed.append(1)
            raise MemoryError
        return mount(source, target, *rest)

    fake.sc_mount = fail
    lines = start(fake, kernel)
    assert "<3>initoverlayfs: image: MemoryError\n" in lines
    assert json.loads(fake.files["/run/initoverlayfs/boot.json"])["attempt"] == "previous"


def test_a_switch_of_root_that_fails_leaves_the_next_attempt_what_it_needs():
    words = "rd.initoverlayfs=direct root=UUID=" + UUID
    fake, kernel, _ = machine(words)
    fake.add("/initoverlayfs/sbin/init", b"#!/x\n")
    chdir = fake.sc_chdir
    failed = []

    def fail(path):
        if not failed:
            failed.append(fake.open_fds())
            return -5
        return chdir(path)

    fake.sc_chdir = fail
    start(fake, kernel)
    assert "uevents" in failed[0] and "signalfd" in failed[0]
    report = json.loads(fake.files["/run/initoverlayfs/boot.json"])
    assert report["attempt"] == "image" and "sc_execve" in fake.names()


def test_the_report_is_of_the_attempt_that_booted_alone():
    fake, kernel, _ = machine("root=UUID=" + UUID)
    fake.add("/initoverlayfs/sbin/init", b"#!/x\n")
    fake.failures["sc_mount overlay"] = 19
    start(fake, kernel)
    report = json.loads(fake.files["/run/initoverlayfs/boot.json"])
    assert report["attempt"] == "direct" and "image" not in report and "attach" not in report


def test_after_the_switch_of_root_no_attempt_follows():
    fake, kernel, _ = machine("rd.initoverlayfs=direct root=UUID=" + UUID)
    fake.add("/initoverlayfs/sbin/init", b"#!/x\n")
    fake.failures["sc_execve /sbin/init"] = 8
    lines = start(fake, kernel)
    assert lines[-1] == "<3>initoverlayfs: direct: exec /sbin/init: errno 8\n"
    assert not [call for call in fake.calls if call[0] == "sc_umount"]


def direct():
    fake, kernel, _ = machine("rd.initoverlayfs=direct root=UUID=" + UUID)
    fake.add("/initoverlayfs/sbin/init", b"#!/x\n")
    return fake, kernel


def test_a_fault_in_any_system_call_of_any_kind_of_boot():
    """PID 1 neither ends nor hangs, and leaves nothing open for an attempt that failed."""
    for kind in (direct, in_pieces, lambda: hashing(SSSE3, True)):
        fake, kernel = kind()
        start(fake, kernel)
        assert "sc_execve" in fake.names()
        for number in range(1, fake.total + 1):
            for errno in (5, 12):
                fake, kernel = kind()
                fake.fail_at = (number, errno)
                lines = start(fake, kernel)  # returns, whatever happened
                assert fake.now <= (stated(lines) if len(lines) > 2 else 0)
                held = [path for path in fake.open_fds() if "loop" in path or "mapper" in path]
                assert held == [], (number, errno, lines)


def two_disks(bound, second=True):
    """Make a machine with one or two disks of the same UUID, bound to an image of this ID."""
    fake, kernel, _ = machine()
    fake.add(binding.PATH, "uuid {}\nsize 1\n".format(bound).encode())
    if second:
        fake.add("/dev/vdb", fake.files["/dev/vda"])
        fake.add("/sys/class/block/vdb/size", b"100\n")
    return fake, kernel


def test_each_device_that_matches_is_tried_for_the_bound_image():
    fake, kernel = two_disks("0f0e0000-0000-4000-8000-000000000001")
    lines = start(fake, kernel)
    assert len([line for line in lines if line.startswith("<3>initoverlayfs: image: ")]) == 2
    attached = [call[2] for call in fake.calls if call[0] == "sc_loop_configure"]
    assert attached[:2] == ["/dev/vda", "/dev/vdb"]
    # No third device matches within five seconds.
    assert 5000000000 <= fake.now <= stated(lines)


def test_a_single_device_is_tried_once():
    fake, kernel = two_disks("0f0e0000-0000-4000-8000-000000000001", second=False)
    lines = start(fake, kernel)
    assert len([line for line in lines if line.startswith("<3>initoverlayfs: image: ")]) == 1


def test_a_later_failure_does_not_wait_for_another_device():
    fake, kernel = two_disks(UUID, second=False)
    image = bytearray(fake.files[IMAGE])
    image[1072:1088] = bytes(range(1, 17))  # the image ID
    fake.files[IMAGE] = bytes(image)
    fake.failures["sc_mount overlay"] = 19
    lines = start(fake, kernel)
    assert [line for line in lines if "image: mount overlay on " in line]
    assert fake.now < 5000000000


def test_devices_that_appear_one_after_the_other_share_one_wait():
    fake, kernel = two_disks("0f0e0000-0000-4000-8000-000000000001", second=False)
    for number, name in enumerate((b"vdb", b"vdc", b"vdd")):
        path = name.decode()
        fake.add("/dev/" + path, fake.files["/dev/vda"])
        fake.add("/sys/block/" + path)
        fake.add("/sys/class/block/" + path + "/size", b"100\n")
        fake.directories.remove("/sys/class/block/" + path)  # not listed before its event
        fake.uevents.append((3000 * (number + 1), block_event(name)))
    lines = start(fake, kernel)
    assert fake.now <= stated(lines)
    assert len([line for line in lines if line.startswith("<3>initoverlayfs: image: ")]) == 2
