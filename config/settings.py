"""Reads the environment into one frozen object. Only app, cli and worker use it; no other code knows a variable."""

import re
from pathlib import Path
from typing import Literal
from urllib.parse import urlsplit

from pydantic import Field, SecretStr, ValidationError, ValidationInfo, field_validator
from pydantic_settings import BaseSettings, SettingsConfigDict

from pro_tracker.domain.channels import Channel
from pro_tracker.domain.errors import ProTrackerError
from pro_tracker.keyring import KeyRing
from pro_tracker.providers import smtp
from pro_tracker.providers.registry import NO_PROVIDER, channel_providers

PREFIX = "PRO_TRACKER_"
BROKER_SCHEMES = ("redis", "rediss", "redis+socket")
MAIL_ADDRESS = re.compile(r"[^\s<>@,;]+@[^\s<>@,;]+")
DATABASE_SETTINGS = ("database_url", "field_keys")
WEBHOOK_SECRETS = ("sms_gateway_secret", "mail_webhook_secret", "voice_gateway_secret")
SERVICE_SETTINGS = (*DATABASE_SETTINGS, "broker_url", "smtp_url", "base_url", "secret_key")


class MissingSettings(ProTrackerError):
    """One or more required environment variables are not set."""


class InvalidSettings(ProTrackerError):
    """One or more environment variables have values that cannot be used."""


class Settings(BaseSettings):
    """The settings of one installation. None: not set; `load_settings` checks the settings that a command needs."""

    # An empty variable counts as missing. Errors do not repeat the value, which may be a secret.
    model_config = SettingsConfigDict(
        env_prefix=PREFIX, frozen=True, extra="ignore", env_ignore_empty=True, hide_input_in_errors=True
    )

    database_url: SecretStr | None = None
    broker_url: SecretStr | None = None
    smtp_url: SecretStr | None = None
    base_url: str | None = None
    secret_key: SecretStr | None = None
    field_keys: SecretStr | None = None
    mail_from: str | None = None
    operator_mail: str | None = None
    ca_file: Path | None = None
    smtp_per_second: int = Field(default=10, gt=0)
    sms_provider: Literal["console", "twilio", "gateway"] = "console"
    sms_per_second: int = Field(default=10, gt=0)
    twilio_account_sid: str | None = None
    twilio_auth_token: SecretStr | None = None
    twilio_from: str | None = None
    twilio_url: str = "https://api.twilio.com"
    sms_gateway_url: str | None = None
    sms_gateway_token: SecretStr | None = None
    sms_gateway_secret: SecretStr | None = None
    mail_webhook_secret: SecretStr | None = None
    voice_provider: Literal["none", "twilio", "gateway"] = "none"
    voice_per_second: int = Field(default=1, gt=0)
    twilio_voice_from: str | None = None
    voice_gateway_url: str | None = None
    voice_gateway_token: SecretStr | None = None
    voice_gateway_secret: SecretStr | None = None
    sites_file: Path = Path(__file__).with_name("sites.yaml")
    data_folder: Path | None = None
    log_level: Literal["DEBUG", "INFO", "WARNING", "ERROR"] = "INFO"
    # The lease of a claim, in seconds. After it the message is recovered, or uncertain if it may have been sent.
    lease_seconds: int = Field(default=120, gt=0)
    # The number of reverse proxies in front of the web processes whose X-Forwarded-For and -Proto are trusted.
    trusted_proxies: int = Field(default=0, ge=0)

    @field_validator("secret_key", *WEBHOOK_SECRETS)
    @classmethod
    def _long_enough(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and len(value.get_secret_value()) < 32:
            raise ValueError("must be at least 32 characters; make one with: openssl rand -hex 32")
        return value

    @field_validator(*WEBHOOK_SECRETS)
    @classmethod
    def _unlike_the_others(cls, value: SecretStr | None, info: ValidationInfo) -> SecretStr | None:
        others = (info.data.get(name) for name in WEBHOOK_SECRETS if name != info.field_name)
        if value is not None and value in others:
            raise ValueError("must differ from the secrets of the other webhooks: it shows which channel reports")
        return value

    @field_validator("data_folder")
    @classmethod
    def _there(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_dir():
            raise ValueError("must be a folder that is there")
        return value and value.resolve()  # what reads it joins it with folders of its own

    @field_validator("ca_file")
    @classmethod
    def _readable(cls, value: Path | None) -> Path | None:
        if value is not None and not value.is_file():
            raise ValueError("must be a file that is there")
        return value

    @field_validator("base_url", "twilio_url", "sms_gateway_url", "voice_gateway_url")
    @classmethod
    def _web_address(cls, value: str | None) -> str | None:
        if value is None:
            return None
        parts = urlsplit(value)
        if parts.scheme not in ("http", "https") or not parts.hostname:
            raise ValueError("must be a web address such as https://pro.clinic.example")
        return value.rstrip("/")

    @field_validator("smtp_url")
    @classmethod
    def _mail_server(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None:
            try:
                smtp.parse_url(value.get_secret_value())
            except smtp.InvalidSmtpUrl as error:
                raise ValueError(str(error).removeprefix(f"{PREFIX}SMTP_URL ")) from None
        return value

    @field_validator("broker_url")
    @classmethod
    def _broker(cls, value: SecretStr | None) -> SecretStr | None:
        if value is not None and urlsplit(value.get_secret_value()).scheme not in BROKER_SCHEMES:
            raise ValueError("must look like redis://:password@host:6379/0")
        return value

    @field_validator("mail_from", "operator_mail")
    @classmethod
    def _mail_address(cls, value: str | None) -> str | None:
        if value is not None and MAIL_ADDRESS.fullmatch(value) is None:
            raise ValueError("must be a mail address such as it@clinic.example, without a name")
        return value

    def key_ring(self) -> KeyRing:
        """Returns the keys that encrypt fields, newest first. Raises InvalidKeys if one is not 32 bytes long."""
        return KeyRing.parse(self.text("field_keys"))

    def text(self, name: str) -> str:
        """Returns the plain value of a setting. Raises MissingSettings if it is not set."""
        value = getattr(self, name)
        if value is None:
            raise MissingSettings(_missing_message([name]))
        return value.get_secret_value() if isinstance(value, SecretStr) else str(value)

    def provider_name(self, channel: Channel) -> str:
        """Returns the name of the provider of a channel; NO_PROVIDER for a channel that is not in service."""
        providers = tuple(channel_providers(channel).PROVIDERS)
        if len(providers) == 1:
            return providers[0]
        named: str = getattr(self, f"{channel}_provider")
        return named

    @property
    def channels_in_service(self) -> tuple[Channel, ...]:
        """The channels that messages are sent on."""
        return tuple(channel for channel in Channel if self.provider_name(channel) != NO_PROVIDER)

    @property
    def sender(self) -> str:
        """The From address of mail: as set, else no-reply at the host of `base_url`."""
        return self.mail_from or f"no-reply@{urlsplit(self.text('base_url')).hostname}"

    @property
    def https(self) -> bool:
        return self.text("base_url").startswith("https://")


def load_settings(*needed: str) -> Settings:
    """Reads the environment and checks it once.

    `needed`: the settings that must be set. Raises MissingSettings with every variable of them that is missing, or
    InvalidSettings with every variable that cannot be used and why.
    """
    try:
        settings = Settings()
    except ValidationError as error:
        errors = (f"{_variable(str(detail['loc'][0]))} {_reason(detail['msg'])}" for detail in error.errors())
        raise InvalidSettings(f"{'; '.join(errors)}. See config/env.example.") from None
    if "smtp_url" in needed:  # a command that sends mail sends on the other channels, too
        for channel in settings.channels_in_service:
            needed += _provider_needs(settings, channel)
    missing = [name for name in dict.fromkeys(needed) if getattr(settings, name) is None]
    if missing:
        raise MissingSettings(_missing_message(missing))
    return settings


def _provider_needs(settings: Settings, channel: Channel) -> tuple[str, ...]:
    return channel_providers(channel).PROVIDERS[settings.provider_name(channel)]


def settings_or_exit() -> Settings:
    """Returns the settings that each process of the service needs. Raises SystemExit with instructions without them."""
    try:
        settings = load_settings(*SERVICE_SETTINGS)
        settings.key_ring()
    except ProTrackerError as error:
        raise SystemExit(f"pro-tracker: {error}") from None
    return settings


def _missing_message(names: list[str]) -> str:
    listed = ", ".join(_variable(name) for name in names)
    return f"Not set in the environment: {listed}. See config/env.example for what each of them is."


def _variable(name: str) -> str:
    return PREFIX + name.upper()


def _reason(message: str) -> str:
    own = message.removeprefix("Value error, ")
    if own != message:
        return own
    return (
        message.replace("Input should be", "must be").replace("valid integer", "whole number").partition(", unable")[0]
    )
