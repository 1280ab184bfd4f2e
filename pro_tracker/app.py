"""The application factory: wires settings, database, blueprints, headers and error pages. Holds no rules."""

from datetime import timedelta
from urllib.parse import urlsplit

from flask import Flask
from flask_babel import Babel
from flask_wtf import CSRFProtect
from werkzeug.middleware.proxy_fix import ProxyFix

from config import logging as logs
from config.settings import SERVICE_SETTINGS, Settings, load_settings
from pro_tracker import db, languages
from pro_tracker.domain.channels import Channel
from pro_tracker.languages import SOURCE
from pro_tracker.services.clinic import channels_in_service
from pro_tracker.services.instruments import data_files
from pro_tracker.web import (
    access,
    accounts,
    assets,
    errors,
    fhir,
    health,
    navigation,
    page_language,
    patient,
    research,
    security,
    session,
    staff,
    url_converters,
    webhooks,
)
from pro_tracker.web.webhooks.registry import channel_webhook

BLUEPRINTS = (
    assets.blueprint,
    fhir.blueprint,
    health.blueprint,
    patient.blueprint,
    research.blueprint,
    staff.blueprint,
    webhooks.blueprint,
)


def create_app(settings: Settings | None = None) -> Flask:
    """Returns the web application for `settings`, by default those of the environment.

    Raises MissingSettings, which names all that are missing, and MissingAssets.
    """
    settings = settings or load_settings(*SERVICE_SETTINGS)
    data_files.set_data_folder(settings.data_folder)
    assets.require_built()
    logs.configure(settings.log_level)
    db.connect(settings.text("database_url"), settings.key_ring())
    channels_in_service.set_channels_in_service(settings.channels_in_service)
    app = Flask("pro_tracker.web")
    app.config.from_mapping(_flask_config(settings))
    translations = ";".join(map(str, languages.folders()))
    Babel(app, locale_selector=page_language.locale, default_translation_directories=translations)
    CSRFProtect(app).exempt(webhooks.blueprint)
    url_converters.init_app(app)
    for blueprint in BLUEPRINTS:
        app.register_blueprint(blueprint)
    for part in (session, accounts, access, security, errors, navigation, page_language):
        part.init_app(app)
    if settings.trusted_proxies:
        hops = settings.trusted_proxies
        app.wsgi_app = ProxyFix(app.wsgi_app, x_for=hops, x_proto=hops, x_host=0)  # type: ignore[method-assign]
    return app


def _webhook_secrets(settings: Settings) -> dict[Channel, str]:
    """Returns, for each channel that has one, the secret with which its gateway signs delivery reports."""
    names = {channel: channel_webhook(channel).SECRET for channel in Channel}
    return {channel: settings.text(name) for channel, name in names.items() if getattr(settings, name) is not None}


def _flask_config(settings: Settings) -> dict[str, object]:
    host = urlsplit(settings.text("base_url")).hostname
    return {
        "SECRET_KEY": settings.text("secret_key"),
        "BASE_URL": settings.text("base_url"),
        "MAIL_SENDER": settings.sender,
        "BROKER_URL": settings.text("broker_url"),
        "SMS_PROVIDER": settings.sms_provider,
        "TWILIO_AUTH_TOKEN": settings.twilio_auth_token and settings.text("twilio_auth_token"),
        "WEBHOOK_SECRETS": _webhook_secrets(settings),
        # A forged Host header must not reach the absolute addresses we build. Loopback: health checks on this host.
        "TRUSTED_HOSTS": [host, "localhost", "127.0.0.1"],
        "MAX_CONTENT_LENGTH": 1024 * 1024,
        "MAX_FORM_MEMORY_SIZE": 256 * 1024,
        "SESSION_COOKIE_NAME": "__Host-session" if settings.https else "session",
        "SESSION_COOKIE_SECURE": settings.https,
        "SESSION_COOKIE_HTTPONLY": True,
        "SESSION_COOKIE_SAMESITE": "Lax",
        "PERMANENT_SESSION_LIFETIME": timedelta(hours=12),
        "WTF_CSRF_TIME_LIMIT": None,  # valid for the session: a patient may pause for hours between two questions
        "WTF_CSRF_SSL_STRICT": False,  # it compares the Referer header, which our pages suppress
        "BABEL_DEFAULT_LOCALE": SOURCE,
    }
