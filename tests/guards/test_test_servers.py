"""The servers of the tests store, reject and return what they receive."""

import smtplib
from email.message import EmailMessage

import pytest
import redis
from sqlalchemy import text


def test_each_test_has_a_database_of_its_own(session, request):
    assert session.scalar(text("SELECT count(*) FROM subject")) == 0
    assert session.get_bind().dialect.name == request.node.callspec.params["database"]


def test_the_broker_keeps_what_it_is_given_until_it_is_flushed(broker):
    with redis.Redis.from_url(broker.url) as client:
        client.set("key", "value")
        assert client.get("key") == b"value"
        broker.flush()
        assert client.get("key") is None


def test_the_mail_server_stores_accepted_mails_and_rejects_on_request(smtp_server):
    mail = EmailMessage()
    mail["From"], mail["To"], mail["Message-ID"] = "clinic@example.org", "someone@example.org", "<1@example.org>"
    mail.set_content("Good morning.")

    with smtplib.SMTP("127.0.0.1", smtp_server.port) as connection:
        connection.send_message(mail)
        smtp_server.replies.append("550 5.1.1 no such mailbox")
        with pytest.raises(smtplib.SMTPDataError):
            connection.send_message(mail)

    assert [(m.message_id, m.text) for m in smtp_server.sent_to("someone@example.org")] == [
        ("<1@example.org>", "Good morning.\n")
    ]
