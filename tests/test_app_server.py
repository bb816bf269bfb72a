"""`inpaint serve` as a process: its API gives the command's answers, tells what is wrong, and ends cleanly."""

import re
import shutil
import signal
import subprocess
import sys
import time

import pytest
from app_server import folder_to_serve, serving
from PIL import Image

import inpaint

pytest.importorskip("gradio", reason="no gradio: pip install 'inpaint-from-caption[app]'")
import httpx  # noqa: E402 - comes with gradio
from gradio_client import Client, handle_file  # noqa: E402
from gradio_client.exceptions import AppError  # noqa: E402

FILE = {"meta": {"_type": "gradio.FileData"}}


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """A folder with a checkpoint and a photo."""
    return folder_to_serve(tmp_path_factory.mktemp("served"), (60, 40))


@pytest.fixture(scope="module")
def served(folder):
    with serving(folder / "best.pt", folder) as page:
        yield page


@pytest.fixture(scope="module")
def client(served, folder):
    return Client(served.url, verbose=False, download_files=folder / "downloads")


@pytest.mark.parametrize("captions, directions", [(["a dog"], 1), (["a dog", "two dogs"], 2)])
def test_the_api_s_fill_is_the_command_s(client, folder, tmp_path, captions, directions):
    photo, settings = folder / "photo.png", {"samples": 2, "seed": 3, "directions": directions}
    caption = captions if len(captions) > 1 else captions[0]
    options = {"box": (5, 6, 12, 10), "caption": caption, "device": "cpu"}
    done = inpaint.fill(photo, folder / "best.pt", tmp_path, **options, **settings)
    given = {"photo": handle_file(photo), "box": "5,6,12,10", "caption": "\n".join(captions)}
    record, files = client.predict(**given, **settings, api_name="/fill")
    assert record == {**done.records[0], "photo": "photo.png"}
    for file in files[:2]:
        with open(file, "rb") as found:
            assert found.read() == (tmp_path / file.rsplit("/")[-1]).read_bytes()
    assert files[2].endswith("photo.json") and len(files) == 3


def test_the_api_s_score_is_the_command_s(client, folder, tmp_path):
    photo = folder / "photo.png"
    captions = ["a dog", "two dogs"]
    record = inpaint.score(photo, folder / "best.pt", tmp_path, box=(5, 6, 12, 10), caption=captions, device="cpu")
    given = {"photo": handle_file(photo), "box": "5,6,12,10", "caption": "a dog\n \ntwo dogs\n"}
    found, files = client.predict(**given, api_name="/score")
    assert found["caption"] == captions
    record["scores"][0]["file"] = "photo.png"
    assert found == {**record, "photo": "photo.png"}
    for file in files[:2]:
        with open(file, "rb") as image:
            assert image.read() == (tmp_path / file.rsplit("/")[-1]).read_bytes()


def test_the_lines_of_the_docs_do_what_they_say(served, folder, root, tmp_path):
    page = (root / "docs" / "app.md").read_text(encoding="utf-8").replace("http://127.0.0.1:7860", served.url)
    page = page.replace("120,80,64,48", "5,6,12,10")
    python, shell = (re.search(rf"```{kind}\n([^`]*{word}[^`]*)```", page)[1] for kind, word in
                     (("python", "gradio_client"), ("sh", "curl")))  # fmt: skip
    Image.open(folder / "photo.png").save(tmp_path / "cat.jpg")
    python += "\nprint(len(record['samples']), len(files), len(scores['scores']), len(maps))"
    done = subprocess.run([sys.executable, "-c", python], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "4 5 2 3"
    if shutil.which("curl") is None:
        pytest.skip("no curl")
    done = subprocess.run(["bash", "-ec", shell], cwd=tmp_path, capture_output=True, text=True, check=True)
    assert "event: complete" in done.stdout and '"log_likelihood_nats"' in done.stdout


def test_the_space_serves_the_page(folder, tmp_path, root):
    with serving(folder / "best.pt", tmp_path, [root / "examples" / "space" / "app.py"]) as space:
        record, files = Client(space.url, verbose=False, download_files=tmp_path).predict(
            photo=handle_file(folder / "photo.png"), box="5,6,12,10", samples=1, api_name="/fill"
        )
        assert len(record["samples"]) == 1 and len(files) == 2
        assert "the page is at" not in space.said.read_text()


@pytest.mark.parametrize(
    "change, told",
    [
        ({"box": "1,2,3"}, "box: '1,2,3' is not x, y, width, height"),
        ({"box": "50,30,20,20"}, "photo.png: is 60 x 40 pixels upright: the box 50,30,20,20 reaches outside"),
        ({"samples": 99}, "samples: 99 are too many"),
        ({"samples": "x"}, "samples: 'x' is not a whole number"),
        ({"samples": 2.5}, "samples: '2.5' is not a whole number"),
        ({"temperature": -1}, "temperature: '-1' is not"),
        ({"photo": handle_file(__file__)}, "test_app_server.py: not an image"),
    ],
)
def test_the_api_tells_what_is_wrong_in_one_line(client, folder, change, told):
    given = {"photo": handle_file(folder / "photo.png"), "box": "5,6,12,10", **change}
    with pytest.raises(AppError, match=told) as error:
        client.predict(**given, api_name="/fill")
    assert "\n" not in str(error.value) and str(folder) not in str(error.value)


@pytest.mark.parametrize(
    "photo, told",
    [
        ("/etc/passwd", "was not uploaded"),
        ({"path": "/etc/passwd", **FILE}, "was not uploaded"),
        ({"path": "../../../etc/passwd", **FILE}, "was not uploaded"),
        ({"path": "http://127.0.0.1:9/x.png", **FILE}, "an address is not a file"),
        ({"path": "/x.png", "url": "http://127.0.0.1:9/x.png", **FILE}, "was not uploaded"),
    ],
)
def test_nothing_is_read_but_what_was_uploaded(served, photo, told):
    call = f"{served.url}/gradio_api/call/fill"
    data = {"data": [photo, "0,0,3,3", None, "", 1, 0, 1.0, "", 1]}
    event = httpx.post(call, json=data, timeout=60).json()["event_id"]
    assert told in httpx.get(f"{call}/{event}", timeout=60).text
    for path in ("/etc/passwd", served.said, sys.executable):
        assert httpx.get(f"{served.url}/gradio_api/file={path}", timeout=60).status_code in (403, 404)


def test_the_page_may_load_nothing_from_elsewhere(served):
    answer = httpx.get(served.url, timeout=60)
    assert "default-src 'self'" in answer.headers["content-security-policy"]
    assert not [word for word in ("fonts.googleapis", "cdnjs", "unpkg", "jsdelivr") if word in answer.text]


@pytest.mark.parametrize("number", [signal.SIGTERM, pytest.param(signal.SIGINT, marks=pytest.mark.slow)])
def test_a_signal_in_the_middle_of_a_fill_ends_it_cleanly(folder, tmp_path, number):
    with serving(folder / "best.pt", tmp_path) as page:
        call = f"{page.url}/gradio_api/call/fill"
        with open(folder / "photo.png", "rb") as photo:
            (path,) = httpx.post(f"{page.url}/gradio_api/upload", files={"files": photo}, timeout=60).json()
        data = {"data": [{"path": path, **FILE}, "1,1,16,16", None, "", 32, 0, 1.0, "exact", 1]}
        httpx.post(call, json=data, timeout=60).raise_for_status()
        while not list(page.temporary.glob("inpaint-serve-*/results/*")):
            time.sleep(0.05)
        page.process.send_signal(number)
        assert page.process.wait(timeout=90) == 1
        said = page.said.read_text()
        assert said == f"error: {'interrupted' if number == signal.SIGINT else 'terminated by SIGTERM'}\n"
        assert not list(page.temporary.iterdir())


def test_a_port_in_use_is_one_line_and_exit_code_1(served, folder, root):
    port = served.url.rsplit(":")[-1]
    command = [sys.executable, "-m", "inpaint", "serve", "--checkpoint", folder / "best.pt", "--port", port]
    done = subprocess.run(command, cwd=root, capture_output=True, text=True)
    assert done.returncode == 1 and done.stdout == ""
    assert done.stderr.startswith(f"error: 127.0.0.1:{port}: cannot be served: ") and done.stderr.count("\n") == 1
