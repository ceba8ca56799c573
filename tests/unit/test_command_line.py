# SPDX-License-Identifier: MIT

from support import make, raises

from storage_init import command_line
from storage_init.kernel.calls import Kernel


def run(*arguments, configuration=b"bootfs UUID=abc\nwrong\n"):
    """Return (exit status, output) of storage-init as an ordinary process."""
    fake, _, _, _ = make(
        {
            "/c": configuration,
            "/l": b"rd.initoverlayfs.timeout=9\n",
            "/proc/sys/kernel/osrelease": b"6.12.1\n",
            "/xfs": b"XFSB" + bytes(104) + b'a"\n\xc3\xb6\xff',
            "/none": b"",
        },
        pid=7,
    )
    printed = []
    setattr(command_line, "print", lambda text, file=None: printed.append(text))  # noqa: B010
    try:
        command_line.run(Kernel(fake), list(arguments))
        code = 0
    except SystemExit as error:
        code = error.args[0]
    finally:
        delattr(command_line, "print")
    assert fake.calls == []
    return code, "\n".join(printed)


def test_plan():
    code, text = run("--plan", "--conf", "/c", "--cmdline", "/l")
    assert code == 0
    assert "warning: /c:2: unknown key 'wrong' ignored" in text
    assert (
        "wait up to 9 s for the boot filesystem UUID=abc" in text
        and "mount devtmpfs on /dev" in text
    )
    assert text.endswith("then: reboot after 10 s")


def test_the_plan_of_systemd_mode():
    code, text = run(
        "--plan",
        "--conf",
        "/c",
        "--cmdline",
        "/l",
        configuration=b"bootfs UUID=a\ninitoverlayfs_init systemd\n",
    )
    assert code == 0 and "exec" not in text and "devtmpfs" not in text
    assert text.endswith("or starts emergency.target")


def test_systemd_mode_outside_an_initramfs():
    fake, _, _, _ = make({}, pid=7)
    assert raises(SystemExit, command_line.run, Kernel(fake), ["--systemd"]).args[0] == 1
    assert b"this is no initramfs" in fake.calls[0][2]


def test_a_plan_without_an_attempt_that_can_boot():
    code, text = run("--plan", "--conf", "/absent", "--cmdline", "/l")
    assert code == 1 and "set bootfs" in text
    code, text = run("--plan", "--cmdline", "/absent")
    assert code == 1 and "open /absent" in text


def test_identify():
    code, text = run("--identify", "/xfs", "/none")
    assert code == 0
    assert text == '/xfs: TYPE="xfs" LABEL="a??\xf6?"\n/none: TYPE="unknown"'


def test_identify_continues_after_an_unreadable_path():
    code, text = run("--identify", "/x\ny", "/proc", "/none")
    lines = text.split("\n")
    assert code == 1 and lines[0].startswith("storage-init: stat /x?y: ")
    assert lines[1] == "storage-init: identify /proc: not a file or a block device"
    assert lines[2:] == ['/none: TYPE="unknown"']


def test_help_and_version():
    assert "rd.initoverlayfs.key" in run("--help")[1]
    assert run("--version")[1].startswith("storage-init ")


def test_wrong_usage_is_one_line():
    for arguments in ((), ("--nope",), ("--plan", "x"), ("--conf",), ("--identify",)):
        code, text = run(*arguments)
        assert code == 2 and text.startswith("storage-init: ") and "\n" not in text
