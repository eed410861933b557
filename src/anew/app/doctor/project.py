"""What a project's own files ask for: are they valid, and is what they point to there?"""

import subprocess
import sys
from collections.abc import Callable, Iterator, Mapping
from datetime import UTC, datetime, timedelta

from anew.adapters.file_traffic import FileTraffic
from anew.adapters.port_claim import port_problem
from anew.adapters.signing import Verifier
from anew.app.hook import hook_reference
from anew.app.loopback import is_loopback
from anew.app.person import access_file, user_file
from anew.app.secret import is_reference, read_secret
from anew.app.settings import Settings
from anew.app.status import stored_rows
from anew.app.wiring import stages
from anew.domain.access import Permission, Role
from anew.domain.errors import NotFoundError, SettingsError
from anew.domain.health import Finding
from anew.governance import PERMISSIONS

__all__ = ["PROJECT", "references"]

_IMPORT_S = 120.0
_SOON = timedelta(days=7)
_ASKING = frozenset({Permission.OPERATE, Permission.APPROVE})
"""Who may these asks for retrains, or consents to what came of them."""
_IMPORT = "import sys, pathlib; import anew.adapters.pipeline_module as m; m.load_pipeline(pathlib.Path(sys.argv[1]))"


def _policy(settings: Settings) -> Finding:
    stages(settings)
    return Finding.good("policy", f"anew.yaml is valid: {settings.model}, {settings.task}")


def _pipeline(settings: Settings) -> Finding:
    """Import the user's code where it can do no harm to whoever asks: in a process of its own."""
    try:
        done = subprocess.run(  # noqa: S603  our own interpreter and code
            [sys.executable, "-P", "-c", _IMPORT, str(settings.pipeline)],
            capture_output=True,
            text=True,
            timeout=_IMPORT_S,
            check=False,
        )
    except subprocess.TimeoutExpired:
        return Finding.bad("pipeline", f"importing took more than {_IMPORT_S:.0f} s", "do no work when it is imported")
    if done.returncode:
        said = (done.stderr.strip().splitlines() or ["it ended without a word"])[-1]
        return Finding.bad("pipeline", said, f"mend {settings.pipeline.name}; anew validate says where")
    return Finding.good("pipeline", f"{settings.pipeline.name} is imported in a process of its own")


def _secrets(settings: Settings) -> Finding:
    named = list(references(settings))
    missing = []
    for reference in named:
        try:
            read_secret(reference, settings.root)
        except SettingsError as exc:
            missing.append(str(exc))
    if missing:
        return Finding.bad("secrets", "; ".join(missing), "set these variables or files for the process of anew up")
    return Finding.good("secrets", f"{len(named)} can be read") if named else Finding.good("secrets", "none")


def references(settings: Settings) -> Iterator[str]:
    """Yield where the policy's secrets are, as it says so."""
    policy = settings.policy
    for webhook in policy.events.webhooks:
        yield webhook.url
        if webhook.secret:
            yield webhook.secret
    if policy.events.traces is not None:
        yield from filter(is_reference, (policy.events.traces.url, *policy.events.traces.headers.values()))
    yield from policy.notify
    studio = policy.feedback.review.label_studio if policy.feedback.review else None
    if studio is not None:
        yield studio.token
        if studio.webhook is not None:
            yield studio.webhook.secret
    for sender in policy.feedback.webhooks:
        yield from sender.secrets
    if hook_reference(settings):
        yield hook_reference(settings)
    if policy.access.oidc is not None and policy.access.oidc.client_secret:
        yield policy.access.oidc.client_secret
    if is_reference(policy.stores.registry):
        yield policy.stores.registry


def _access(settings: Settings) -> Finding:
    host, anonymous = settings.policy.serving.host, settings.policy.access.anonymous
    if anonymous == "nobody":
        good = [each for each in access_file(settings.state).records() if each.is_good(datetime.now(UTC))]
        if not good:
            return Finding.warning(
                "access", "nobody has a token, and without one nobody is let in", "anew access create"
            )
        return Finding.good("access", f"{host}: {len(good)} tokens, nobody without one")
    if is_loopback(host):
        found = f"{host} is open: every program of this machine may predict and label"
        return Finding.warning("access", found, "on a machine shared with others: access: {anonymous: nobody}")
    return Finding.bad("access", f"{host} can be reached and is open", "write access: {anonymous: nobody}")


def _tokens(settings: Settings) -> Finding:
    now = datetime.now(UTC)
    records = [each for each in access_file(settings.state).records() if not each.revoked]
    soon = [each.name for each in records if each.expires and datetime.fromisoformat(each.expires) < now + _SOON]
    if soon:
        fix = "give new ones: anew access create"
        return Finding.warning("tokens", f"expired or about to within 7 days: {', '.join(sorted(soon))}", fix)
    people = user_file(settings.state)
    nobody = [
        f"{each.name} ({each.id})"
        for each in records
        if PERMISSIONS[Role(each.role)] & _ASKING and people.called(each.person) is None
    ]
    if nobody and settings.policy.governance.four_eyes == "required":
        found = f"nobody has said whose these are, and they sign for no promotion: {', '.join(sorted(nobody))}"
        return Finding.warning("tokens", found, "anew access link PERSON --token ID")
    return (
        Finding.good("tokens", f"{len(records)} in force") if records else Finding.skipped("tokens", "none were given")
    )


def _port(settings: Settings) -> Finding:
    serving = settings.policy.serving
    if not serving.port:
        return Finding.good("port", "a free one is taken at each start")
    if not serving.workers:
        return Finding.skipped("port", "another program serves this project: anew gateway")
    if _own_port(settings, serving.port):
        return Finding.good("port", f"{serving.host}:{serving.port} is served by this project")
    if problem := port_problem(serving.host, serving.port):
        fix = "end the program that has it (ss -ltnp shows which), or set serving.port"
        return Finding.bad("port", f"{serving.host}:{serving.port}: {problem}", fix)
    return Finding.good("port", f"{serving.host}:{serving.port} is free")


def _own_port(settings: Settings, port: int) -> bool:
    try:
        traffic = FileTraffic(settings.state, verifier=Verifier.load(settings.state / "keys"))
    except NotFoundError:
        return False
    return any(each.port == port and not each.host for each in traffic.workers(settings.model))


def _history(settings: Settings) -> Finding:
    name = settings.policy.data.history
    if not name:
        return Finding.skipped("history", "the policy names none")
    file = settings.root / name
    if not file.is_file():
        if (stored_rows(settings.state) or {}).get("history"):
            return Finding.good("history", f"{name} has gone; its rows are in the lake")
        return Finding.bad("history", f"{name} is not there", "put the file there, or take data.history out")
    return Finding.good("history", f"{name}, {file.stat().st_size / 1e6:,.1f} MB")


PROJECT: Mapping[str, Callable[[Settings], Finding]] = {
    "policy": _policy,
    "pipeline": _pipeline,
    "secrets": _secrets,
    "access": _access,
    "tokens": _tokens,
    "port": _port,
    "history": _history,
}
"""What is looked at in a project whose policy can be read, by the name of its finding."""
