"""The command ``report``: the commands of docs/manager.md run, wrong options end with 2, and a mail failure with 1."""

import os
import re
import subprocess
import sys
from pathlib import Path
from typing import Any

import msgspec
import pytest

from collector.mail.settings import Mail, Recipient
from collector.settings import read_settings
from tests.support.analyst_guide import collector
from tests.support.brokers import free_port
from tests.support.certificates import Authority
from tests.support.mail_server import PASSWORD, USER, mail_server
from tests.support.shops import two_weeks

ROOT = Path(__file__).parents[3]
MANAGER = (ROOT / "docs" / "manager.md").read_text()
INSTALLER = (
    (ROOT / "docs" / "installer.md").read_text().partition("\n## The weekly report by mail\n")[2].partition("\n## ")[0]
)
BLOCKS = re.findall(r"^```sh\n(.*?)^```$", MANAGER, re.M | re.S)


@pytest.fixture(scope="module")
def store(tmp_path_factory: pytest.TempPathFactory) -> Path:
    return two_weeks(tmp_path_factory.mktemp("guide") / "store")


def run(block: str, folder: Path) -> None:
    """Run commands of the guide in a folder, with this environment's programs."""
    path = f"{Path(sys.executable).parent}:{os.environ['PATH']}"
    environment = os.environ | {"PATH": path, "PYTHONPATH": str(ROOT)}
    # of the checkout: an installed package may be of another one
    block = block.replace("facetally-collector ", f"{sys.executable} -m collector ")
    done = subprocess.run(
        ["bash", "-euc", block], cwd=folder, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr


def test_the_commands_of_the_guide_run(store: Path) -> None:
    """They write one HTML file, one PDF file, and both of each site and of all."""
    pytest.importorskip("weasyprint", reason="the extra report is not installed")
    reports, _ = BLOCKS
    run(reports, store.parent)
    assert "<html lang=" in (store.parent / "report.html").read_text()
    assert (store.parent / "bericht.pdf").read_bytes().startswith(b"%PDF")
    names = sorted(path.name for path in (store.parent / "reports").iterdir())
    of = ("", "shop-1-", "shop-2-")
    assert names == [f"facetally-{site}20260301-20260331.{form}" for site in of for form in ("html", "pdf")]


def test_a_language_can_be_begun(tmp_path: Path) -> None:
    """The commands of the guide make a catalogue with all messages."""
    for name in ("pyproject.toml", "collector"):
        (tmp_path / name).symlink_to(ROOT / name)
    run(BLOCKS[1].replace("extract -F", "-q extract -F"), tmp_path)
    assert 'msgid "clear change"\nmsgstr ""' in (tmp_path / "fr.po").read_text()


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        (["--out", "r.html", "--since", "2026-03-01"], "--since and --until: must both be given"),
        (["--mail", "--site", "shop-1"], "--site: must not be given with --mail"),
    ],
)
def test_wrong_options_end_with_2(store: Path, tmp_path: Path, arguments: list[str], message: str) -> None:
    done = collector("report", "--root", store, *arguments, status=2)
    assert message in done.stderr and "Traceback" not in done.stderr


def test_a_report_that_failed_is_sent_at_the_next_run(store: Path, tmp_path: Path) -> None:
    """Without a server: exit 1 and one line. With one, at the next run: the mail."""
    authority = Authority(tmp_path, "mail")
    (tmp_path / "password").write_text(PASSWORD)
    mail = Mail(
        host="localhost", port=free_port(), ca=authority.ca, user=USER, password_file=str(tmp_path / "password"),
        sender="facetally@shop.example", recipients=(Recipient(address="boss@shop.example"),), attach=("html",),
        sent_file=str(tmp_path / "sent.json"),
    )  # fmt: skip

    def report(port: int, status: int = 0) -> str:
        file = tmp_path / "collector.toml"
        tree: Any = msgspec.to_builtins(msgspec.structs.replace(mail, port=port))
        tree["recipients"] = [{"address": each.address} for each in mail.recipients]
        file.write_bytes(msgspec.toml.encode({"mail": tree}))
        command = ("report", "--mail", "--week", "2026-W13", "--root", store, "--config", file)
        return collector(*command, status=status).stderr

    away = report(mail.port, status=1)
    assert away.count("\n") == 1 and "Connection refused" in away and "event=stopped" in away
    with mail_server(authority.issue("localhost")) as (port, mailbox):
        assert "event=report_sent to=boss@shop.example week=2026-W13" in report(port)
        assert len(mailbox.messages) == 1


def test_the_guides_configuration_is_valid(tmp_path: Path) -> None:
    """The example of the installer's guide is read, and so is every key of the sample."""
    example = re.findall(r"^```toml\n(.*?)^```$", INSTALLER, re.M | re.S)[0]
    (tmp_path / "guide.toml").write_text(example)
    mail = read_settings(tmp_path / "guide.toml").mail
    assert [each.language for each in mail.recipients] == [None, "de"]
    sample = (ROOT / "collector/samples/collector.toml").read_text().partition("\n[mail]")
    text = re.sub(r"^# (?=\w+ = |\[\[)", "", "".join(sample[1:]), flags=re.M)
    keys = msgspec.toml.decode(text)["mail"]
    assert set(keys) == {field.name for field in msgspec.structs.fields(Mail)}
    assert set(keys["recipients"][0]) == {field.name for field in msgspec.structs.fields(Recipient)}
    (tmp_path / "sample.toml").write_text(text)
    read_settings(tmp_path / "sample.toml")
