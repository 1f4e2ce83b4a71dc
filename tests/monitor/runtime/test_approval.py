"""Approval links: signed for one request, one action and some time; looking changes nothing, deciding happens once."""

import http.client
import json
import re
from base64 import b64encode
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import parse_qs, urlencode, urlsplit

import pytest
from hypothesis import given
from hypothesis import strategies as st

from monitor.runtime.approval import ApprovalLinks
from monitor.stream.events import DAY, SECOND
from tests.deciding import Scene
from tests.fakes import NOON, Receiver

KEY = "0123456789abcdef0123456789abcdef"
LINKS = ApprovalLinks(KEY.encode(), "https://ops.internal/driftd", 3 * DAY, lambda: NOON)


def fields_of(link: str) -> dict[str, str]:
    return {name: values[0] for name, values in parse_qs(urlsplit(link).query).items()}


# --- what is signed ---------------------------------------------------------------------------------------------------


def test_a_link_leads_to_us_and_says_what_it_is_for() -> None:
    links = LINKS.of("r1")

    assert list(links) == ["approve", "reject"]
    assert links["approve"].startswith("https://ops.internal/driftd/approval?request=r1&action=approve&expires=")
    assert LINKS.read(fields_of(links["reject"])).action == "reject"


@given(st.sampled_from(["request", "action", "expires", "signature"]), st.text(max_size=70))
def test_nothing_of_it_can_be_changed(field: str, value: str) -> None:
    fields = fields_of(LINKS.of("r1")["approve"])
    if fields[field] == value:
        return

    with pytest.raises(LookupError):
        LINKS.read({**fields, field: value})


@given(
    st.lists(
        st.tuples(st.text(max_size=4), st.sampled_from(["approve", "reject"])), min_size=2, max_size=2, unique=True
    )
)
def test_two_links_have_two_signatures(said: list[tuple[str, str]]) -> None:
    one, other = (fields_of(LINKS.of(request)[action]).get("signature") for request, action in said)

    assert one != other


def test_another_key_and_another_time_are_refused() -> None:
    fields = fields_of(LINKS.of("r1")["approve"])
    other = ApprovalLinks(KEY[::-1].encode(), LINKS.page, LINKS.lasts, LINKS.now)
    late = ApprovalLinks(LINKS.key, LINKS.page, LINKS.lasts, lambda: NOON + 3 * DAY)
    just = ApprovalLinks(LINKS.key, LINKS.page, LINKS.lasts, lambda: NOON + 3 * DAY - SECOND)

    with pytest.raises(LookupError):
        other.read(fields)
    with pytest.raises(TimeoutError):
        late.read(fields)
    assert just.read(fields).request == "r1"
    assert KEY not in repr(LINKS)


# --- a whole daemon ---------------------------------------------------------------------------------------------------


class Linked(Scene):
    """A daemon with a request that waits, and who was told of it."""

    hook: Receiver

    def links(self) -> dict[str, str]:
        self.eventually(lambda: bool(self.told()))
        return {name: link for name, link in self.told()[0]["data"]["links"].items() if name in {"approve", "reject"}}

    def told(self) -> list[Any]:
        bodies = [json.loads(each.body) for each in self.hook.requests]
        return [each for each in bodies if each["type"] == "model.retrain.pending"]

    def open(self, link: str, form: dict[str, str] | None = None) -> tuple[int, str, http.client.HTTPMessage]:
        """Open a link, or send its form: the fields of the page, and what a person has typed."""
        parts = urlsplit(link)
        with closing(http.client.HTTPConnection("127.0.0.1", int(self.daemon.server.address[1]), timeout=15)) as to:
            if form is None:
                to.request("GET", f"/approval?{parts.query}")
            else:
                body = urlencode({**fields_of(link), **form}).encode()
                to.request("POST", "/approval", body, {"content-type": "application/x-www-form-urlencoded"})
            answer = to.getresponse()
            return answer.status, answer.read().decode(), answer.headers

    def outcome(self) -> str:
        (request,) = self.get("/api/v1/retraining")
        return f"{request['outcome']} {request['by']} {request['why']}"

    def used(self, outcome: str) -> int:
        counters = self.daemon.telemetry.look(lambda board: board.counters["driftd_approval_links_total"].copy())
        return counters[(outcome,)]


@contextmanager
def linked(home: Path, **http_keys: Any) -> Iterator[Linked]:
    hook = Receiver()
    (home / "secret").write_text("whsec_" + b64encode(bytes(range(32))).decode())
    (home / "key").write_text(f"{KEY}\n")
    told = {"name": "hook", "type": "webhook", "url": hook.url, "secret_file": "secret", "types": ["*"]}
    more = {"retraining": {"approval": "required"}, "targets": [told]}
    links = {"external_url": "https://ops.internal/driftd", "approval_links": {"secret_file": "key"}}
    scene = Linked(home, more=more, **{**links, **http_keys})
    scene.hook = hook
    try:
        yield scene
    finally:
        scene.close()
        hook.close()


def test_opening_a_link_changes_nothing_and_shows_what_would_happen(tmp_path: Path) -> None:
    """Whoever scans mail opens every link in it."""
    with linked(tmp_path) as scene:
        for link in scene.links().values():
            for _ in range(3):
                status, page, headers = scene.open(link)
                assert status == 200
        assert scene.outcome() == "pending_approval None None"
        assert "Reject retraining of" in page
        assert "age" in page  # what the incident shows
        assert headers["referrer-policy"] == "no-referrer"
        assert headers["cache-control"] == "no-store"
        assert "form-action 'self'" in headers["content-security-policy"]
        assert "frame-ancestors 'none'" in headers["content-security-policy"]
        assert scene.used("shown") == 6
        assert scene.counted("approve") == scene.counted("reject") == 0


def test_an_approval_is_recorded_with_the_name_that_was_given(tmp_path: Path) -> None:
    with linked(tmp_path) as scene:
        status, page, _ = scene.open(scene.links()["approve"], {"by": "Ana", "reason": "looks right"})

        assert status == 200
        assert "Approved: retraining is requested, by Ana by link: looks right." in page
        assert scene.outcome() == "requested Ana by link looks right"
        scene.eventually(lambda: any(b"model.retrain.requested" in each.body for each in scene.hook.requests))


def test_a_link_is_used_once_and_then_says_who_decided(tmp_path: Path) -> None:
    with linked(tmp_path) as scene:
        links = scene.links()
        assert scene.open(links["reject"], {"by": "Ana", "reason": "a campaign"})[0] == 200
        again = scene.open(links["reject"], {"by": "Bo", "reason": "me too"})
        other = scene.open(links["approve"], {"by": "Bo"})
        look = scene.open(links["approve"])

        assert (again[0], other[0], look[0]) == (409, 409, 200)
        for _, page, _ in (again, other, look):
            assert "Rejected, by Ana by link: a campaign." in page
            assert "<form" not in page
        assert scene.outcome() == "suppressed_rejected Ana by link a campaign"
        assert (scene.used("decided"), scene.used("refused")) == (1, 2)


def test_what_was_decided_otherwise_is_said_too(tmp_path: Path) -> None:
    with linked(tmp_path) as scene:
        link = scene.links()["approve"]
        (request,) = scene.get("/api/v1/retraining")
        assert scene.post({"decision": "approve", "request": request["id"], "by": "cy"})[0] == 201

        assert "by cy" in scene.open(link)[1]
        assert scene.open(link, {"by": "Ana"})[0] == 409


def test_forged_and_expired_links_are_one_line_and_counted(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with linked(tmp_path) as scene:
        links = scene.links()
        fields = fields_of(links["approve"])
        forged = [
            {**fields, "signature": "0" * 64},
            {**fields, "signature": fields_of(links["reject"])["signature"]},
            {**fields, "action": "reject"},
            {**fields, "request": "another"},
            {**fields, "expires": str(int(fields["expires"]) + 1)},
            {},
        ]
        for each in forged:
            link = f"https://ops.internal/driftd/approval?{urlencode(each)}"
            for form in (None, {"by": "Ana", "reason": "x"}):
                status, page, _ = scene.open(link, form)
                assert (status, page) == (403, "this link is not valid\n")
        assert scene.used("forged") == 2 * len(forged)
        scene.clock.advance(3 * 86400)
        for form in (None, {"by": "Ana"}):
            status, page, _ = scene.open(links["approve"], form)
            assert (status, page) == (403, "this link has expired; `driftd retrain list` shows what waits\n")
        assert scene.used("expired") == 2
        assert scene.outcome() == "pending_approval None None"
    said = capsys.readouterr()
    assert "approval.forged" in said.out + said.err


def audited(scene: Linked) -> list[Any]:
    """What the audit log says."""
    return [json.loads(each["entry"]) for each in scene.get("/api/v1/audit?limit=500")["entries"]]


def test_of_two_who_decide_at_once_one_does(tmp_path: Path) -> None:
    """One approves, one rejects, two send the same form twice: one decision, one request at most, and all the others are told."""
    with linked(tmp_path) as scene:
        links = scene.links()
        forms = [(links[action], {"by": name, "reason": "at once"}) for name in "abc" for action in links] * 2
        with ThreadPoolExecutor(len(forms)) as people:
            statuses = [status for status, _, _ in people.map(lambda each: scene.open(*each), forms)]

        assert sorted(statuses) == [200, *[409] * (len(forms) - 1)]
        kinds = [each["kind"] for each in audited(scene)]
        assert kinds.count("decision.made") == 1
        assert kinds.count("decision.refused") == len(forms) - 1
        assert (kinds.count("retrain.requested"), kinds.count("retrain.suppressed")) in {(1, 0), (0, 1)}


def test_no_way_of_asking_but_the_form_decides(tmp_path: Path) -> None:
    """Nor does who names another host get anything that leads there."""
    with linked(tmp_path) as scene:
        form = urlencode({**fields_of(scene.links()["approve"]), "by": "Ana"})
        port = int(scene.daemon.server.address[1])
        for method, body in (("GET", None), ("HEAD", None), ("GET", form), ("POST", ""), ("PUT", form), ("DELETE", "")):
            with closing(http.client.HTTPConnection("127.0.0.1", port, timeout=15)) as to:
                to.request(
                    method, f"/approval?{form}", body, {"host": "evil.example", "x-forwarded-host": "evil.example"}
                )
                answer = to.getresponse()
                assert answer.status == {"GET": 200, "HEAD": 200, "POST": 403}.get(method, 501)
                assert b"evil.example" not in answer.read() + str(answer.headers).encode()
        assert scene.outcome() == "pending_approval None None"
        assert scene.counted("approve") == 0


def test_no_secret_and_no_signature_is_said_anywhere(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    """Though a receiver repeats what it was sent in its answer."""

    def echo(handler: Any) -> None:
        body = (
            b"refused: https://ops.internal/driftd/approval?request=r&action=approve&expires=1&signature=" + b"ab" * 32
        )
        handler.send_response(400)
        handler.send_header("content-length", str(len(body)))
        handler.end_headers()
        handler.wfile.write(body)

    with linked(tmp_path) as scene:
        links = scene.links()
        signatures = [fields_of(link)["signature"] for link in links.values()]
        scene.hook.answers += [echo] * 3
        scene.open(links["approve"])
        scene.open(links["approve"].replace(signatures[0], "cd" * 32))
        scene.open(links["approve"], {"by": "Ana"})
        scene.eventually(lambda: len(scene.hook.requests) > 2)
        shown = [
            scene.daemon.surface.answer(path, "")[2].decode()
            for path in ("/metrics", "/", *scene.daemon.surface.routes[2:])
        ]
    said = capsys.readouterr()
    for text in (said.out, said.err, *shown):
        assert KEY not in text
        assert not re.search(r"signature=(?!\*)", text)
        assert not any(each in text for each in signatures)


@pytest.mark.parametrize(
    ("action", "form", "why"),
    [
        ("approve", {}, "a name of 1 to 100 characters is needed; go back\n"),
        ("approve", {"by": "A" * 101}, "a name of 1 to 100 characters is needed; go back\n"),
        ("approve", {"by": "A\x1b[0m"}, "a name of 1 to 100 characters is needed; go back\n"),
        ("reject", {"by": "Ana"}, "a rejection needs a reason; go back and give one\n"),
        ("reject", {"by": "Ana", "reason": "x" * 1001}, "a reason is one line of at most 1000 characters; go back\n"),
    ],
    ids=["nobody", "long", "control", "no reason", "long reason"],
)
def test_who_says_too_little_or_too_much_is_told(tmp_path: Path, action: str, form: dict[str, str], why: str) -> None:
    with linked(tmp_path) as scene:
        status, page, _ = scene.open(scene.links()[action], form)

        assert (status, page) == (400, why)
        assert scene.outcome() == "pending_approval None None"


def test_what_is_typed_is_shown_as_text(tmp_path: Path) -> None:
    with linked(tmp_path) as scene:
        page = scene.open(scene.links()["approve"], {"by": "<b>Ana</b>", "reason": "<script>x</script>"})[1]

        assert "<b>" not in page
        assert "<script>" not in page


def test_without_a_key_there_are_no_links_and_no_page(tmp_path: Path) -> None:
    with linked(tmp_path, approval_links=None) as scene:
        scene.eventually(lambda: bool(scene.told()))

        assert set(scene.told()[0]["data"]["links"]) == {"model", "incident"}
        assert scene.open("https://x/approval?request=r1")[0] == 404
