"""The mail server of the demonstration stores every mail and shows it safely."""

import smtplib
from email.message import EmailMessage

import pytest
from aiosmtpd.controller import Controller

from pro_tracker.demo.mail_sink import Mailbox, create_page
from tests.servers.process import free_port


@pytest.fixture
def mailbox(tmp_path):
    return Mailbox(tmp_path / "mail")


@pytest.fixture
def send(mailbox):
    controller = Controller(mailbox, hostname="127.0.0.1", port=free_port())
    controller.start()

    def send(subject, text):
        mail = EmailMessage()
        mail["From"], mail["To"], mail["Subject"] = "clinic@example.org", "someone@example.org", subject
        mail["Date"] = "Mon, 02 Mar 2026 15:00:00 +0000"
        mail.set_content(text)
        with smtplib.SMTP("127.0.0.1", controller.port) as connection:
            connection.send_message(mail)

    yield send
    controller.stop()


@pytest.fixture
def page(mailbox):
    return create_page(mailbox).test_client()


def test_the_newest_mail_is_listed_first(send, page):
    send("First", "one")
    send("Second", "two")

    shown = page.get("/").text

    assert 0 < shown.index("Second") < shown.index("First")


def test_a_mail_is_shown_with_its_text_and_a_working_link(send, page, mailbox):
    send("Your questions", "Please open\nhttp://127.0.0.1:8000/v/abc-DEF_1\nwhen you have a minute.")

    shown = page.get(f"/mails/{mailbox.newest()[0].id}").text

    assert '<a href="http://127.0.0.1:8000/v/abc-DEF_1" rel="noreferrer">http://127.0.0.1:8000/v/abc-DEF_1</a>' in shown
    assert "when you have a minute." in shown


def test_html_in_a_mail_is_escaped(send, page, mailbox):
    send(
        "<script>subject</script>", '<img src=x onerror=alert(1)> http://x.example/"onmouseover="a javascript:alert(1)'
    )

    answer = page.get(f"/mails/{mailbox.newest()[0].id}")

    assert [bad for bad in ("<script>", "<img", 'href="javascript', 'onmouseover="') if bad in answer.text] == []
    assert answer.headers["Content-Security-Policy"].startswith("default-src 'none'")


@pytest.mark.parametrize("address", ["/mails/unknown", "/mails/..%2f..%2fsecrets", "/mails/*"])
def test_a_mail_that_does_not_exist_is_not_found(page, address):
    assert page.get(address).status_code == 404


def test_an_unknown_host_name_is_rejected(page):
    assert page.get("/", headers={"Host": "evil.example"}).status_code == 400
