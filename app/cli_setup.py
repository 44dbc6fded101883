"""`ordermend db upgrade` and `ordermend doctor`."""

import asyncio
import os
import sys
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from importlib.util import find_spec

from procrastinate.exceptions import ConnectorException

from app.cli_output import AsJson, group, say, say_json, single
from app.cli_settings import settings_now
from app.database import CONNECTION_FAILURES, connect, embedded_url, ping, upgrade
from app.errors import ConfigurationInvalid, DatabaseUnavailable, OrdermendError
from app.models.choice import chosen_classifier, wanted
from app.models.local_server import INSTALL
from app.models.this_machine import ENGINE
from app.published import OVERLAY, current_row, on_trial, same_before
from app.publishing import still_on_trial, superseded
from app.settings import Settings
from app.signals.shapes import WEBHOOK_SOURCES
from app.tables import PublishedPolicy
from app.wiring import Configuration, load_configuration
from guardrails.facts import rfc3339
from guardrails.policy.tables import Mode

database = group()
doctor = single()

OLDEST_SERVER = 14


@database.callback()
def _words() -> None:
    """The database."""


@database.command("upgrade")
def upgrade_database(as_json: AsJson = False) -> None:
    """Bring the database to the newest schema. Safe to repeat, and while others do the same."""
    settings = settings_now()
    try:
        upgrade(_url(settings))
    except (ConnectorException, *CONNECTION_FAILURES) as error:
        raise DatabaseUnavailable(f"The database does not answer ({type(error).__name__}).") from error
    where = "the configured server" if settings.database_url else f"the embedded server in {settings.data_dir}"
    if as_json:
        say_json({"upgraded": True, "embedded": not settings.database_url})
    else:
        say(f"The schema in {where} is the newest.")


@dataclass(frozen=True, slots=True)
class Check:
    """`state` is ok, note (it works, but look) or wrong. `do` says what to do about it."""

    name: str
    state: str
    found: str
    do: str = ""


@doctor.command("doctor")
def look_everywhere(as_json: AsJson = False) -> None:
    """Check settings, files, database and classifier. Exit code 1 when something does not work."""
    checks = list(_checks())
    if as_json:
        say_json({"ok": all(check.state != "wrong" for check in checks), "checks": [asdict(check) for check in checks]})
    else:
        for check in checks:
            say(f"{check.state:<6} {check.name:<14} {check.found}" + (f"\n{'':<22}-> {check.do}" if check.do else ""))
    if any(check.state == "wrong" for check in checks):
        sys.exit(1)


def _checks() -> Iterator[Check]:
    try:
        settings = settings_now()
    except ConfigurationInvalid as error:
        yield Check("settings", "wrong", str(error), "correct these variables of the environment")
        return
    yield Check("settings", "ok", f"data in {settings.data_dir}, configuration in {settings.config_dir}")
    yield _data_folder(settings)
    files = None
    try:
        files = load_configuration(settings.config_dir)
    except OrdermendError as error:
        yield Check("configuration", "wrong", str(error), "correct the lines named")
    else:
        yield Check("configuration", "ok", f"policy {files.policy.version}, {len(files.detectors.detectors)} detectors")
        yield _classifier(settings, files)
        yield _certificates(files)
    yield _database(settings)
    if files is not None:
        yield _policy(settings, files)
    yield _secrets(settings)


def _data_folder(settings: Settings) -> Check:
    nearest = next(folder for folder in (settings.data_dir, *settings.data_dir.parents) if folder.exists())
    if os.access(nearest, os.W_OK):
        return Check("data folder", "ok", f"{settings.data_dir} can be written")
    return Check("data folder", "wrong", f"{nearest} cannot be written", "set ORDERMEND_DATA_DIR to a folder that can")


def _classifier(settings: Settings, files: Configuration) -> Check:
    try:
        name = asyncio.run(_chosen(settings, files))
    except OrdermendError as error:
        return Check("classifier", "wrong", str(error), "set ORDERMEND_LLM__BASE_URL and _API_KEY, or ORDERMEND_CLASSIFIER=rules")
    if wanted(settings) == "local" and find_spec(ENGINE) is None:
        return Check("classifier", "note", "rules only: no endpoint, and no engine for the local model", INSTALL)
    if wanted(settings) == "local":
        do = "`ordermend model status` says how far it is; ORDERMEND_LOCAL_MODEL=off keeps it away"
        return Check("classifier", "ok", "rules, until `serve` or `worker` has the local model ready", do)
    if name == "rules":
        return Check("classifier", "note", "rules only, no model", "set ORDERMEND_LLM__API_KEY for a model")
    return Check("classifier", "ok", f"{name}, {settings.llm.model}")


def _certificates(files: Configuration) -> Check:
    """Whether they live depends on the classifier that answers, which only a running program knows."""
    held = files.assurance.certificates
    if files.assurance.problem is not None:
        return Check("certificates", "note", files.assurance.problem, "until it is mended nothing is certified")
    if not held:
        return Check(
            "certificates", "note", "none: nothing is certified", "`ordermend audits status` says how many labels are needed"
        )
    do = "`ordermend audits status` says which of them hold for the classifier in use"
    return Check("certificates", "ok", ", ".join(sorted(item.scope for item in held)), do)


async def _chosen(settings: Settings, files: Configuration) -> str:
    async with chosen_classifier(settings, files.owners) as chosen:
        return chosen.name


def _database(settings: Settings) -> Check:
    kind = "configured" if settings.database_url else "embedded"
    try:
        version = asyncio.run(_server_version(_url(settings)))
    except Exception as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        return Check(
            "database", "wrong", f"the {kind} server does not answer: {why}", "start it, or correct ORDERMEND_DATABASE_URL"
        )
    if int(version.partition(".")[0]) < OLDEST_SERVER:
        return Check("database", "wrong", f"PostgreSQL {version}", f"use PostgreSQL {OLDEST_SERVER} or newer")
    return Check("database", "ok", f"{kind} PostgreSQL {version}")


def _policy(settings: Settings, files: Configuration) -> Check:
    """What is in force may be another policy than the file's."""
    try:
        found = asyncio.run(_published(_url(settings), files))
    except Exception as error:
        why = (str(error).splitlines() or [type(error).__name__])[0]
        return Check("policy", "note", f"what is in force cannot be seen: {why}", "ordermend db upgrade")
    return found


async def _published(url: str, files: Configuration) -> Check:
    opened = connect(url, pool_size=1)
    try:
        async with opened.sessions() as session:
            current = await current_row(session, Mode.ENFORCE)
            known = await same_before(session, files.policy_text, files.policy)
            tried = await on_trial(session, files.policy_text, files.policy)
    finally:
        await opened.engine.dispose()
    if current is None:
        return Check("policy", "ok", "nothing is published yet; the first start publishes the file")
    publish = _publishing(files, current)
    if tried is not None:
        return Check("policy", "note", still_on_trial(tried), f"to put the file in force: {publish}")
    if known is None:
        do = "it comes into force at the next start; `ordermend policy replay` shows what it would change"
        return Check("policy", "note", f"the file's version {files.policy.version} was never published", do)
    if (why := superseded(known, current)) is not None:
        return Check("policy", "note", why, f"to bring the file back in force: {publish}")
    return Check(
        "policy", "ok", f"version {current.version} in force, published by {current.by} at {rfc3339(current.published_at)}"
    )


def _publishing(files: Configuration, current: PublishedPolicy) -> str:
    """How the file is published by hand, with its overlay, or without the one in force."""
    if files.policy_text.overlay is not None:
        return f"ordermend policy publish FILE --overlay {OVERLAY} --why ..."
    return f"ordermend policy publish FILE {'--no-overlay ' if current.overlay is not None else ''}--why ..."


async def _server_version(url: str) -> str:
    opened = connect(url, pool_size=1)
    try:
        return str((await ping(opened.engine))["version"])
    finally:
        await opened.engine.dispose()


def _secrets(settings: Settings) -> Check:
    missing = [source.value for source in WEBHOOK_SOURCES if not settings.webhooks.of(source)]
    if not missing:
        return Check("webhooks", "ok", "every source has a secret")
    do = "set ORDERMEND_WEBHOOKS__<SOURCE>_SECRET for those that you use"
    return Check("webhooks", "note", f"no secret, so every delivery is refused: {', '.join(missing)}", do)


def _url(settings: Settings) -> str:
    return settings.database_url or embedded_url(settings.data_dir)
