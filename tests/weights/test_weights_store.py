"""The weights store against servers that behave well and badly, all on this machine."""

from __future__ import annotations

import hashlib
import http.server
import json
import os
import re
import ssl
import subprocess
import sys
import threading
import time
import zlib
from concurrent.futures import ThreadPoolExecutor
from contextlib import suppress
from typing import ClassVar

import pytest
from typer.testing import CliRunner

from hpbench.cli.weights import weights as app
from hpbench.errors import UsageError, WeightsError
from hpbench.method import WeightsInfo
from hpbench.paths import cache_folder
from hpbench.weights.downloads import DownloadLimits
from hpbench.weights.store import (
    add_weights,
    cached_file,
    check_weights,
    fetch_file,
    find_named,
    git_blob_of,
    sha256_of,
)
from hpbench.weights.store import (
    fetch_weights as fetch_with_tls,
)

CONTENT = bytes(range(256)) * 400
SHA256 = hashlib.sha256(CONTENT).hexdigest()
GIT_BLOB = hashlib.sha1(b"blob %d\0" % len(CONTENT) + CONTENT).hexdigest()


class Server(http.server.BaseHTTPRequestHandler):
    """Serves CONTENT, and every sort of failure, by path."""

    protocol_version = "HTTP/1.1"
    release = threading.Event()
    ranges: ClassVar[list[str | None]] = []

    def do_GET(self):
        getattr(self, "serve_" + self.path.strip("/").replace("-", "_"))()

    def send(self, body, status=200, claimed=None, **headers):
        self.send_response(status)
        self.send_header("Content-Length", str(claimed or len(body)))
        for name, value in headers.items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def serve_right(self):
        self.send(CONTENT)

    def serve_truncated(self):
        self.send(CONTENT[:5000], claimed=len(CONTENT))
        self.close_connection = True

    def serve_ranges(self):
        """Send the rest where it is asked for."""
        asked = self.headers.get("Range")
        self.ranges.append(asked)
        if asked is None:
            return self.send(CONTENT)
        start = int(asked.removeprefix("bytes=").removesuffix("-"))
        if start >= len(CONTENT):
            return self.send(b"", status=416)
        span = {"Content-Range": f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"}
        return self.send(CONTENT[start:], status=206, **span)

    def serve_breaking_ranges(self):
        """As `ranges`, 40,000 bytes at a time."""
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        span = {"Content-Range": f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"}
        rest = CONTENT[start:]
        self.send(rest[:40_000], 206 if start else 200, claimed=len(rest), **span)
        self.close_connection = True

    def serve_late_ranges(self):
        time.sleep(0.2)
        self.serve_ranges()

    def serve_waiting(self):
        """All but the end, which never comes."""
        self.send(CONTENT[:-1], claimed=len(CONTENT))
        self.wfile.flush()
        self.release.wait(20)
        self.close_connection = True

    def serve_moved_ranges(self):
        self.send(b"", status=302, Location="/ranges")

    def serve_other_range(self):
        """A server that gives another part than the one asked for."""
        if "Range" not in self.headers:
            return self.send(CONTENT)
        span = {"Content-Range": f"bytes 0-{len(CONTENT) - 1}/{len(CONTENT)}"}
        return self.send(CONTENT, status=206, **span)

    def serve_altered(self):
        self.send(CONTENT[:-1] + b"!")

    def serve_missing(self):
        self.send(b"not here", status=404)

    def serve_redirect(self):
        self.send(b"", status=302, Location="/right")

    def serve_no_address(self):
        self.send(b"", status=302, Location="https://[::1")

    def serve_long_name(self):
        self.send(b"", status=302, Location=f"https://{'a' * 70}.com/")

    def serve_loop(self):
        self.send(b"", status=302, Location="/loop")

    def serve_slow(self):
        self.send(CONTENT[:5000], claimed=len(CONTENT))
        self.wfile.flush()
        self.release.wait(20)
        self.close_connection = True

    def serve_part_unasked(self):
        """Another part than the one asked for, whatever is asked."""
        self.send(CONTENT[7:], 206, **{"Content-Range": f"bytes 7-{len(CONTENT) - 1}/*"})

    def serve_part_without_range(self):
        self.send(CONTENT, 206)

    def serve_no_range_at_all(self):
        self.send(b"", 416)

    def serve_longer_range(self):
        """The right part, and more."""
        start = int(self.headers.get("Range", "bytes=0-").removeprefix("bytes=").removesuffix("-"))
        span = {"Content-Range": f"bytes {start}-{len(CONTENT) - 1}/{len(CONTENT)}"}
        self.send(CONTENT[start:] + (b"more" if start else b""), 206 if start else 200, **span)

    def serve_endless(self):
        """More and more, of no announced length."""
        self.send_response(200)
        self.send_header("Connection", "close")
        self.end_headers()
        self.close_connection = True
        with suppress(OSError):
            while not self.release.is_set():
                self.wfile.write(bytes(1 << 16))

    def serve_bomb(self):
        """Megabytes in some kilobytes of gzip, which nobody asked for."""
        packed = zlib.compressobj(wbits=31)
        body = b"".join(packed.compress(bytes(1 << 20)) for _ in range(64)) + packed.flush()
        with suppress(OSError):
            self.send(body, **{"Content-Encoding": "gzip"})

    def serve_drip(self):
        """A byte now and then, so that it never stalls."""
        self.send(b"", claimed=len(CONTENT))
        self.drip()

    def serve_dripping_header(self):
        self.wfile.write(b"HTTP/1.1 200 OK\r\nX-Long: ")
        self.drip()

    def drip(self):
        with suppress(OSError):
            while not self.release.wait(0.05):
                self.wfile.write(b"x")
                self.wfile.flush()
        self.close_connection = True

    def serve_to_http(self):
        self.send(b"", status=302, Location="http://127.0.0.1:9/net.bin")

    def serve_git(self):
        self.send(json.dumps({"name": "x", "sha": GIT_BLOB}).encode())

    def serve_git_page(self):
        self.send(b"<html>log in first</html>")

    def log_message(self, *args):
        pass


@pytest.fixture(scope="module")
def server():
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        running.daemon_threads = True
        thread = threading.Thread(target=running.serve_forever, daemon=True)
        thread.start()
        yield f"http://127.0.0.1:{running.server_port}"
        Server.release.set()
        running.shutdown()


@pytest.fixture(autouse=True)
def cache(tmp_path, monkeypatch):
    monkeypatch.setenv("HPBENCH_CACHE", str(tmp_path / "cache"))
    for variable in ("http_proxy", "HTTP_PROXY", "all_proxy", "ALL_PROXY"):
        monkeypatch.delenv(variable, raising=False)
    return tmp_path / "cache" / "weights"


def fetch_weights(info, **limits):
    """Fetch from the server of this machine, which has no certificate."""
    return fetch_with_tls(info, DownloadLimits(allow_http=True, **limits))


def info(url="", **changes) -> WeightsInfo:
    fields = {
        "name": "net",
        "summary": "a net",
        "licence": "MIT",
        "trained_on": (),
        "file": "net.bin",
    }
    return WeightsInfo(**{**fields, "url": url, "sha256": SHA256, "source": "a page", **changes})


def files_in(folder):
    return sorted(path.name for path in folder.iterdir()) if folder.exists() else []


def test_right_file_is_stored_with_its_hash_beside_it(server, cache):
    path = fetch_weights(info(f"{server}/right"))
    assert path == cache / "net.bin" == cached_file("net.bin")
    assert path.read_bytes() == CONTENT
    assert files_in(cache) == ["net.bin", "net.bin.sha256"]
    assert (cache / "net.bin.sha256").read_text() == f"{SHA256}  net.bin\n"


def test_redirect_is_followed(server):
    assert fetch_weights(info(f"{server}/redirect")).read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("page", "reason", "left"),
    [
        ("truncated", "the download was interrupted .*are kept.*start it again", ["net.bin.part"]),
        ("altered", f"SHA-256 is [0-9a-f]{{64}}, not {SHA256}; nothing was stored", []),
        ("missing", "the server returned 404", []),
        ("slow", "download stalled|was interrupted", ["net.bin.part"]),
        ("loop", "cannot be fetched", []),
        ("no_address", "cannot be fetched", []),
        ("long_name", "cannot be fetched", []),
    ],
)
def test_bad_download_is_told_in_one_line_and_never_used(server, cache, page, reason, left):
    with pytest.raises(WeightsError, match=reason) as caught:
        fetch_weights(info(f"{server}/{page}"), stall_s=0.3)
    assert files_in(cache) == left
    assert cached_file("net.bin") is None
    assert str(caught.value).startswith(f"{server}/{page}: ")
    assert "\n" not in str(caught.value)


@pytest.mark.parametrize("page", ["endless", "bomb", "right"])
def test_nothing_above_the_stated_size_is_stored(server, cache, page):
    with pytest.raises(WeightsError, match=r"sends more than 0\.1 MB; nothing was stored"):
        fetch_weights(info(f"{server}/{page}", size_bytes=len(CONTENT) - 1))
    assert files_in(cache) == []


def test_endless_answer_about_a_hash_is_refused(server):
    with pytest.raises(WeightsError, match="sends more than is allowed"):
        fetch_weights(info("https://a", sha256=None, git_blob_url=f"{server}/endless"))


@pytest.mark.parametrize("page", ["drip", "dripping_header"])
def test_server_that_never_stalls_is_given_up_at_last(server, page):
    started = time.monotonic()
    with pytest.raises(WeightsError, match=r"not finished within 1 s.*start it again"):
        fetch_weights(info(f"{server}/{page}"), total_s=0.6)
    assert time.monotonic() - started < 5


@pytest.mark.parametrize("page", ["part_unasked", "part_without_range", "no_range_at_all"])
def test_wrong_part_is_never_stored(server, cache, page):
    with pytest.raises(WeightsError, match="another part than the one asked for"):
        fetch_weights(info(f"{server}/{page}"))
    assert files_in(cache) == []


def test_connection_without_tls_needs_to_be_allowed(server, cache):
    with pytest.raises(WeightsError, match=r"right: is no https address; .* --allow-http"):
        fetch_with_tls(info(f"{server}/right"))
    with pytest.raises(WeightsError, match="git: is no https address"):
        fetch_with_tls(info("https://a", sha256=None, git_blob_url=f"{server}/git"))
    assert files_in(cache) == []


def test_http_address_that_no_command_fetches_names_no_option(server):
    """Such as the one of a card, which says what to do with a file in its own words."""
    with pytest.raises(WeightsError, match=r"is no https address; fetch it elsewhere and") as error:
        fetch_file("net.bin", f"{server}/right", SHA256, by_hand="put it beside the card")
    assert "--allow-http" not in str(error.value)


def test_certificates_that_are_not_there_are_named(monkeypatch, tmp_path):
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "no.pem"))
    with pytest.raises(WeightsError, match=r"cannot be fetched \(.*/no\.pem\); correct that"):
        fetch_with_tls(info("https://127.0.0.1:9/net.bin"))


def test_redirect_from_https_to_http_is_not_followed(cache, tmp_path, monkeypatch):
    openssl = ["openssl", "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2",
               "-keyout", "key.pem", "-out", "cert.pem", "-subj", "/CN=localhost",
               "-addext", "subjectAltName=IP:127.0.0.1"]  # fmt: skip
    try:
        subprocess.run(openssl, cwd=tmp_path, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError) as error:
        pytest.skip(f"no certificate can be made: {error}")
    monkeypatch.setenv("REQUESTS_CA_BUNDLE", str(tmp_path / "cert.pem"))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), Server) as running:
        running.socket = context.wrap_socket(running.socket, server_side=True)
        threading.Thread(target=running.serve_forever, daemon=True).start()
        secure = f"https://127.0.0.1:{running.server_port}"
        assert fetch_with_tls(info(f"{secure}/right")).read_bytes() == CONTENT
        (cache / "net.bin").unlink()
        with pytest.raises(WeightsError, match=r"http://127\.0\.0\.1:9/net\.bin: is no https"):
            fetch_with_tls(info(f"{secure}/to_http"))
        running.shutdown()


@pytest.fixture
def broken_off(server, cache):
    """Number of bytes that have arrived of a download that broke off."""
    with pytest.raises(WeightsError):
        fetch_weights(info(f"{server}/truncated"))
    arrived = (cache / "net.bin.part").read_bytes()
    assert 4000 < len(arrived) <= 5000
    assert CONTENT.startswith(arrived)
    Server.ranges.clear()
    return len(arrived)


def test_only_the_rest_of_a_broken_download_is_fetched(server, cache, broken_off):
    assert fetch_weights(info(f"{server}/ranges")).read_bytes() == CONTENT
    assert Server.ranges == [f"bytes={broken_off}-"]
    assert files_in(cache) == ["net.bin", "net.bin.sha256"]


def test_rest_is_asked_for_behind_a_redirect_too(server, broken_off):
    assert fetch_weights(info(f"{server}/moved_ranges")).read_bytes() == CONTENT
    assert Server.ranges == [f"bytes={broken_off}-"]


@pytest.mark.usefixtures("broken_off")
@pytest.mark.parametrize("page", ["right", "redirect", "other_range", "longer_range"])
def test_server_without_ranges_sends_everything_again(server, page):
    assert fetch_weights(info(f"{server}/{page}")).read_bytes() == CONTENT


def test_broken_download_survives_a_missing_network(server, cache, broken_off):
    for bad in (f"{server}/missing", "http://127.0.0.1:9/net.bin"):
        with pytest.raises(WeightsError):
            fetch_weights(info(bad), stall_s=2)
    assert (cache / "net.bin.part").stat().st_size == broken_off


def test_download_that_breaks_off_again_and_again_gets_there(server, cache):
    page = info(f"{server}/breaking_ranges")
    for about in (40_000, 80_000):
        with pytest.raises(WeightsError, match="was interrupted"):
            fetch_weights(page)
        assert about - 3000 < (cache / "net.bin.part").stat().st_size <= about
    assert fetch_weights(page).read_bytes() == CONTENT


@pytest.mark.parametrize("start", [b"something else", CONTENT + b"more"], ids=["other", "longer"])
def test_start_that_belongs_to_another_file_is_thrown_away(server, cache, start):
    cache.mkdir(parents=True)
    (cache / "net.bin.part").write_bytes(start)
    assert fetch_weights(info(f"{server}/ranges")).read_bytes() == CONTENT
    assert files_in(cache) == ["net.bin", "net.bin.sha256"]


def test_killed_download_goes_on_from_where_it_was(server, cache):
    cache.mkdir(parents=True)
    call = [sys.executable, "-c", KILLED, f"{server}/waiting", SHA256]
    with subprocess.Popen(call, env=os.environ | {"HPBENCH_CACHE": str(cache.parent)}) as killed:
        while not any(path.stat().st_size for path in cache.iterdir()):
            assert killed.poll() is None
            time.sleep(0.02)
        killed.kill()
    assert files_in(cache) == ["net.bin.part"]
    arrived = (cache / "net.bin.part").stat().st_size
    Server.ranges.clear()
    assert fetch_weights(info(f"{server}/ranges")).read_bytes() == CONTENT
    assert Server.ranges == [f"bytes={arrived}-"]
    assert files_in(cache) == ["net.bin", "net.bin.sha256"]


KILLED = """
import sys
from hpbench.weights.downloads import DownloadLimits
from hpbench.weights.store import fetch_file

fetch_file("net.bin", sys.argv[1], sys.argv[2], limits=DownloadLimits(allow_http=True))
"""


def test_two_fetches_at_once_are_one_download(server, cache):
    Server.ranges.clear()
    with ThreadPoolExecutor(2) as both:
        found = list(both.map(fetch_weights, [info(f"{server}/late_ranges")] * 2))
    assert [path.read_bytes() for path in found] == [CONTENT, CONTENT]
    assert Server.ranges == [None]
    assert files_in(cache) == ["net.bin", "net.bin.sha256"]


def test_without_network_the_message_says_what_to_do():
    url = "http://127.0.0.1:9/net.bin"  # nothing listens on the discard port
    with pytest.raises(WeightsError, match=r"cannot be reached.*hpbench weights add net\.bin FILE"):
        fetch_weights(info(url), stall_s=2)


def test_stored_file_is_not_fetched_again(cache):
    cache.mkdir(parents=True)
    (cache / "net.bin").write_bytes(CONTENT)
    assert fetch_file("net.bin", "http://127.0.0.1:9/net.bin", SHA256) == cache / "net.bin"


def test_stored_file_that_was_altered_is_refused(cache):
    cache.mkdir(parents=True)
    (cache / "net.bin").write_bytes(CONTENT[::-1])
    with pytest.raises(WeightsError, match=r"net\.bin: altered or incomplete"):
        fetch_file("net.bin", "http://127.0.0.1:9/net.bin", SHA256)


def test_unverifiable_download_is_refused(server):
    with pytest.raises(WeightsError, match="no hash of the file is known"):
        fetch_weights(info(f"{server}/right", sha256=None))


def test_weights_without_an_address_say_where_and_what_then():
    with pytest.raises(WeightsError, match=r"by hand.*from a page.*hpbench weights add net FILE"):
        fetch_weights(info(sha256=None))


def test_git_blob_id_pins_a_download(server, cache):
    pinned = info(f"{server}/right", sha256=None, git_blob=GIT_BLOB)
    assert fetch_weights(pinned).read_bytes() == CONTENT
    (cache / "net.bin").unlink()
    with pytest.raises(WeightsError, match=f"git blob id is .*, not {GIT_BLOB}"):
        fetch_weights(pinned.model_copy(update={"url": f"{server}/altered"}))


def test_git_blob_id_is_asked_for_where_only_the_commit_is_known(server):
    asked = info(f"{server}/right", sha256=None, git_blob_url=f"{server}/git")
    assert fetch_weights(asked).read_bytes() == CONTENT
    altered = asked.model_copy(update={"file": "b.bin", "url": f"{server}/altered"})
    with pytest.raises(WeightsError, match=GIT_BLOB):
        fetch_weights(altered)
    page = altered.model_copy(update={"git_blob_url": f"{server}/git_page"})
    with pytest.raises(WeightsError, match="has no git blob id"):
        fetch_weights(page)


def test_git_blob_id_is_that_of_git(tmp_path):
    file = tmp_path / "some.bin"
    file.write_bytes(CONTENT)
    done = subprocess.run(
        ["git", "hash-object", "--no-filters", str(file)], capture_output=True, text=True
    )
    if done.returncode != 0:
        pytest.skip(f"git cannot be asked: {done.stderr.strip()}")
    assert git_blob_of(file) == done.stdout.strip() == GIT_BLOB


def test_added_file_is_verified_and_copied(tmp_path, cache):
    mine = tmp_path / "downloads.bin"
    mine.write_bytes(CONTENT)
    assert add_weights(info(), mine).read_bytes() == CONTENT
    mine.write_bytes(CONTENT[1:])
    with pytest.raises(WeightsError, match=r"downloads\.bin: not the weights 'net'.*SHA-256"):
        add_weights(info(), mine)
    assert sha256_of(cache / "net.bin") == SHA256


@pytest.mark.parametrize("record", [b"\xff\xfe\x00", b"", b"abc  net.bin"])
def test_damaged_record_of_a_hash_is_not_taken_for_altered_weights(tmp_path, cache, record):
    mine = tmp_path / "mine.bin"
    mine.write_bytes(b"weights of somebody")
    unpinned = info(sha256=None)
    here = unpinned.model_copy(update={"path": add_weights(unpinned, mine)})
    (cache / "net.bin.sha256").write_bytes(record)
    with pytest.raises(WeightsError, match=r"net\.bin\.sha256: holds no SHA-256; add the weights"):
        check_weights(here)


def test_added_file_without_a_published_hash_is_watched_from_then_on(tmp_path, cache):
    mine = tmp_path / "mine.bin"
    mine.write_bytes(b"weights of somebody")
    unpinned = info(sha256=None)
    here = unpinned.model_copy(update={"path": add_weights(unpinned, mine)})
    assert check_weights(here) == "unchanged"
    (cache / "net.bin").write_bytes(b"weights of somebody else")
    with pytest.raises(WeightsError, match="altered"):
        check_weights(here)


def test_states_of_weights(tmp_path):
    file = tmp_path / "a.bin"
    file.write_bytes(CONTENT)
    assert check_weights(info()) == "missing"
    assert check_weights(info(path=file)) == "verified"
    assert check_weights(info(path=file, sha256=None)) == "unpinned"


def test_cache_that_cannot_be_written_is_named(tmp_path, monkeypatch, server):
    blocked = tmp_path / "file"
    blocked.write_text("not a folder")
    monkeypatch.setenv("HPBENCH_CACHE", str(blocked))
    with pytest.raises(WeightsError, match=r"cannot be written.*\$HPBENCH_CACHE"):
        fetch_weights(info(f"{server}/right"))
    assert cache_folder("weights") == blocked / "weights"


def test_names_are_looked_up():
    known = {
        "a": [info(name="x"), info(name="y", file="y.bin")],
        "b": [info(name="x"), info(name="z")],
    }
    assert [i.name for _, i in find_named("a", known)] == ["x", "y"]
    assert find_named("y.bin", known) == find_named("y", known) == find_named("a/y", known)
    with pytest.raises(UsageError, match="ambiguous; choose a/x, b/x"):
        find_named("x", known)
    with pytest.raises(UsageError, match="did you mean 'b/z'"):
        find_named("b/zz", known)


# ---- the command -------------------------------------------------------------------------------

PLUGIN = """
from hpbench.method import WeightsInfo
from hpbench.methods.constant import Constant
from hpbench.weights.store import cached_file
class Net(Constant):
    name = "net"
    @classmethod
    def named_weights(cls):
        return [WeightsInfo(name="big", summary="s", licence="MIT", trained_on=("w300lp",),
                file="big.bin", url="{url}", sha256="{sha}", path=cached_file("big.bin"))]
"""


@pytest.fixture
def plugin(tmp_path, server):
    file = tmp_path / "net.py"
    file.write_text(PLUGIN.format(url=f"{server}/right", sha=SHA256))
    return str(file)


def command(*words):
    return CliRunner().invoke(app, list(words))


def test_fetch_then_verify_then_list(plugin, cache):
    fetched = command("fetch", "net/big", "--allow-http", "--plugin", plugin)
    assert str(cache / "big.bin") in fetched.output
    verified = command("verify", "--plugin", plugin)
    assert (verified.exit_code, "net/big: ok, the published hash" in verified.output) == (0, True)
    listed = command("list", "--plugin", plugin)
    assert re.search(r"net/big.*licence MIT.*trained on w300lp.*here: ", listed.output, re.DOTALL)


def test_fetch_goes_on_after_weights_to_be_fetched_by_hand(tmp_path, server, cache):
    both = PLUGIN.replace(
        "return [",
        'return [WeightsInfo(name="paper", summary="s", licence="MIT", trained_on=(), '
        'source="a page"), ',
    )
    (tmp_path / "two.py").write_text(both.format(url=f"{server}/right", sha=SHA256))
    done = command("fetch", "net", "--allow-http", "--plugin", str(tmp_path / "two.py"))
    assert (cache / "big.bin").read_bytes() == CONTENT
    assert "net/paper: weights 'paper': the file has to be fetched by hand; get it" in done.output
    assert isinstance(done.exception, WeightsError)
    assert str(done.exception) == "1 of 2 files of 'net' were not fetched: paper"


def test_verify_fails_on_an_altered_file(plugin, cache):
    command("fetch", "big", "--allow-http", "--plugin", plugin)
    (cache / "big.bin").write_bytes(b"altered")
    verified = command("verify", "--plugin", plugin)
    assert verified.exit_code == 1
    assert "altered or incomplete" in verified.output


def test_add_puts_the_file_where_the_method_looks(plugin, cache, tmp_path):
    mine = tmp_path / "mine.bin"
    mine.write_bytes(CONTENT)
    assert command("add", "big", str(mine), "--plugin", plugin).exit_code == 0
    assert (cache / "big.bin").read_bytes() == CONTENT


@pytest.mark.parametrize(
    ("known", "advice"),
    [
        (
            {"url": "https://x/n", "sha256": SHA256, "file": "n"},
            "fetch with: hpbench weights fetch n",
        ),
        (
            {"url": "https://x/n", "file": "n"},
            "get it from a page, then 'hpbench weights add n FILE'",
        ),
        ({"file": "n"}, "get it from a page, then 'hpbench weights add n FILE'"),
        ({}, "get it from a page"),
    ],
)
def test_list_advises_only_what_works(known, advice, tmp_path):
    """A file without a hash is not fetched, one that is not kept in the cache cannot be added."""
    stated = {"name": "n", "summary": "s", "licence": "MIT", "trained_on": (), "source": "a page"}
    file = tmp_path / "net.py"
    file.write_text(
        re.sub("return .*", f"return [WeightsInfo(**{stated | known})]", PLUGIN, flags=re.S)
    )
    listed = command("list", "--plugin", str(file)).output
    assert f"trained on unknown\n    {advice}\n" in listed


def test_list_names_licence_and_source_of_every_built_in():
    listed = command("list").output
    for name in ("fsanet/fsanet-1x1-iter-688590", "hopenet/alpha1", "hopenet/lite"):
        assert re.search(
            rf"^{name}  .+\n    licence .+\n    trained on w300lp", listed, re.MULTILINE
        )
