"""Standard output is kept for results."""

from __future__ import annotations

import sys

from cnnreg.output import quiet_stdout


def test_stdout_is_put_back_when_the_last_of_several_leaves(capsys):
    before, first, second = sys.stdout, quiet_stdout(), quiet_stdout()
    first.__enter__()
    second.__enter__()
    first.__exit__(None, None, None)
    print("a plugin")
    second.__exit__(None, None, None)
    assert sys.stdout is before
    assert capsys.readouterr() == ("", "a plugin\n")
