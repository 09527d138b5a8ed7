"""Where the truth has changed, stored predictions are computed again."""

from __future__ import annotations

import importlib
import json
import os
import subprocess
import sys
import zipfile
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

from hpbench.errors import DataError, HpbenchError
from hpbench.inference.cores import usable_cores
from hpbench.inference.progress import NoProgress
from hpbench.registry import METHODS
from hpbench.results.run_config import RunConfig
from hpbench.running.runner import run
from hpbench.storage.fingerprints import code_digest, content_hash, plugin_digest

PLUGIN = '''
from pathlib import Path
import numpy as np
from hpbench.dataset import Dataset, DatasetCard, Label, Record
from hpbench.method import Method, MethodCard, Options, Prediction
from hpbench.protocol import Protocol
from hpbench.rotation import rotation_from_angles

class Turned(Method):
    """Yaw from a file that it reads while it is loaded."""
    name, summary = "turned", "for a test"
    class Options(Options):
        weights: str = "named"
    def fingerprint(self): return "forgets its weights"
    def card(self):
        trained_on = ("table",) if self.options.weights == "named" else ()
        return MethodCard(name="turned", title="Turned", trained_on=trained_on)
    def load(self):
        self.yaw_deg = float((Path(__file__).parent / "yaw.txt").read_text())
    def prepare(self, face): return face.image.mean() if self.options.weights == "grey" else 0.0
    def infer(self, batch): return batch
    def decode(self, output):
        return [Prediction(rotation_from_angles([self.yaw_deg + float(x), 0, 0])) for x in output]

class Gone(Dataset):
    """A folder that loses an image while it is read."""
    name, summary = "gone", "for a test"
    card = DatasetCard(name="gone", title="Gone")
    protocols = (Protocol(name="default", dataset="gone", version=1),)
    def records(self):
        paths = sorted(self.root.glob("*.png"))
        paths[-1].unlink()
        box = np.array([1.0, 1.0, 30.0, 30.0])
        return [Record(path.stem, path, Label.from_angles(0, 0, 0), box_xyxy=box) for path in paths]
'''


@pytest.fixture
def here(tmp_path, monkeypatch) -> Path:
    """A folder with a plugin, two labelled images and an empty cache."""
    monkeypatch.setenv("HPBENCH_CACHE", str(tmp_path / "cache"))
    (tmp_path / "plugin").mkdir()
    (tmp_path / "plugin" / "turned.py").write_text(PLUGIN)
    (tmp_path / "plugin" / "yaw.txt").write_text("10")
    rows = ["image,yaw,pitch,roll,x0,y0,x1,y1"]
    for k in range(2):
        Image.new("RGB", (32, 32), (0, 0, 0)).save(tmp_path / f"{k}.bmp")
        rows.append(f"{k}.bmp,0,0,0,1,1,30,30")
    (tmp_path / "labels.csv").write_text("\n".join(rows) + "\n")
    return tmp_path


def run_in(here: Path, out: str, methods: str = "turned", **changes) -> Path:
    options = {"datasets": f"table={here / 'labels.csv'}", "timing": "off", "device": "cpu"}
    options["plugins"] = (here / "plugin" / "turned.py",)
    config = RunConfig(methods=methods, **{**options, **changes})
    return run(config, here / out, NoProgress())


def yaw_error(folder: Path) -> float:
    return json.loads((folder / "results.json").read_text())["results"][0]["mae_deg"]["yaw"]


def reused(folder: Path) -> bool:
    return bool(json.loads((folder / "run.json").read_text())["reused"]["predictions"])


def test_weights_file_that_a_plugin_reads_in_load(here):
    assert yaw_error(run_in(here, "first")) == 10
    assert reused(run_in(here, "again"))
    (here / "plugin" / "yaw.txt").write_text("20")
    assert yaw_error(run_in(here, "second")) == 20


def test_plugin_that_is_edited_in_a_session_is_imported_anew(here):
    file = here / "plugin" / "turned.py"
    assert yaw_error(run_in(here, "first")) == 10
    second = file.stat().st_mtime_ns // 10**9 * 10**9
    # as large and of the same second as before, for which Python takes its compiled code
    file.write_text(PLUGIN.replace("self.yaw_deg + float(x)", "self.yaw_deg + 5 + 0   "))
    os.utime(file, ns=(second, second))
    assert yaw_error(run_in(here, "second")) == 15
    assert not reused(here / "second")
    file.write_text(PLUGIN)
    assert yaw_error(run_in(here, "third")) == 10


def test_class_that_was_imported_before_an_edit_is_refused(here):
    file = here / "plugin" / "turned.py"
    old = METHODS.load("turned", (file,))()
    file.write_text(PLUGIN + "\n# edited")
    with pytest.raises(HpbenchError, match=r"turned\.py: was edited since it was imported"):
        plugin_digest(old)
    new = METHODS.load("turned", (file,))()
    plugin_digest(new)
    with pytest.raises(HpbenchError, match=r"turned\.py: was edited since it was imported"):
        plugin_digest(old)
    file.write_text("no python (")
    with pytest.raises(HpbenchError, match="cannot be imported"):
        METHODS.load("turned", (file,))
    file.write_text(PLUGIN + "\n# edited")
    plugin_digest(new)


def test_module_that_is_edited_since_a_plugin_imported_it_is_refused(here):
    """What was imported would predict, and be stored as what the file holds now."""
    helper = here / "plugin" / "turned_helper.py"
    helper.write_text("OFFSET = 5")
    then = helper.stat()
    (here / "plugin" / "turned.py").write_text(
        "import sys\nsys.path.insert(0, str(__import__('pathlib').Path(__file__).parent))\n"
        "from turned_helper import OFFSET\n" + PLUGIN.replace("self.yaw_deg +", "OFFSET +")
    )
    assert yaw_error(run_in(here, "first")) == 5
    helper.write_text("OFFSET = 50")
    other = here / "other.py"  # of another folder, with the same helper
    other.write_text((here / "plugin" / "turned.py").read_text())
    for file in (here / "plugin" / "turned.py", other):
        with pytest.raises(HpbenchError, match=r"turned_helper\.py: was edited since"):
            run_in(here, "second", plugins=(file,))
    helper.write_text("OFFSET = 5")
    os.utime(helper, ns=(then.st_atime_ns, then.st_mtime_ns))


LAZY = PLUGIN.replace(
    'self.yaw_deg = float((Path(__file__).parent / "yaw.txt").read_text())',
    "import lazily_named\n        self.yaw_deg = lazily_named.YAW_DEG",
)


def in_a_process_of_its_own(here: Path, out: str, before: str = "", **changes) -> Path:
    """As :func:`run_in`: a module that a session has imported stays as it was."""
    names = {"here": str(here), "out": out, "changes": changes}
    code = (
        "import json, sys\n"
        f"sys.path[:0] = [{str(Path(__file__).parent)!r}, {str(here / 'lib')!r}]\n"
        f"{before}\nfrom pathlib import Path\nfrom {Path(__file__).stem} import run_in\n"
        f"given = json.loads({json.dumps(names)!r})\n"
        "run_in(Path(given['here']), given['out'], **given['changes'])"
    )
    subprocess.run([sys.executable, "-c", code], check=True)
    return here / out


def yaw_errors(folder: Path) -> list[float]:
    results = json.loads((folder / "results.json").read_text())["results"]
    return [one["mae_deg"]["yaw"] for one in results]


def test_module_that_a_first_method_has_imported_counts_for_the_second_too(here):
    (here / "lib").mkdir()
    (here / "lib" / "lazily_named.py").write_text("YAW_DEG = 1")
    (here / "plugin" / "turned.py").write_text(LAZY)
    methods = "turned[weights=a],turned[weights=b]"
    assert yaw_errors(in_a_process_of_its_own(here, "first", methods=methods)) == [1, 1]
    (here / "lib" / "lazily_named.py").write_text("YAW_DEG = 20")
    assert yaw_errors(in_a_process_of_its_own(here, "second", methods=methods)) == [20, 20]


def test_module_that_a_script_imported_before_the_plugin_counts(here):
    (here / "lib").mkdir()
    (here / "lib" / "early.py").write_text("YAW_DEG = 1")
    (here / "plugin" / "turned.py").write_text(
        "from early import YAW_DEG\n" + PLUGIN.replace("self.yaw_deg +", "YAW_DEG +")
    )
    assert yaw_errors(in_a_process_of_its_own(here, "first", "import early")) == [1]
    (here / "lib" / "early.py").write_text("YAW_DEG = 20")
    assert yaw_errors(in_a_process_of_its_own(here, "second", "import early")) == [20]


def test_module_that_is_edited_since_a_method_loaded_it_is_refused(here, monkeypatch):
    (here / "lib").mkdir()
    monkeypatch.syspath_prepend(str(here / "lib"))
    (here / "lib" / "loaded_then_edited.py").write_text("YAW_DEG = 1")
    (here / "plugin" / "turned.py").write_text(LAZY.replace("lazily_named", "loaded_then_edited"))
    assert yaw_error(run_in(here, "first")) == 1
    (here / "lib" / "loaded_then_edited.py").write_text("YAW_DEG = 200")
    with pytest.raises(HpbenchError, match=r"edited\.py: was edited since it was imported"):
        run_in(here, "second")


ARCHIVE = '''
import numpy as np
from hpbench.dataset import Dataset, DatasetCard, Label, Record
from hpbench.protocol import Protocol

class Packed(Dataset):
    """Images in one file, or in a folder beside its own."""
    name, summary = "packed", "for a test"
    card = DatasetCard(name="packed", title="Packed")
    protocols = (Protocol(name="default", dataset="packed", version=1),)
    def records(self):
        path = self.root / "0.png" if self.root.suffix == ".npy" else self.root.parent / "0.png"
        box = np.array([1.0, 1.0, 30.0, 30.0])
        return [Record("0", path, Label.from_angles(0, 0, 0), box_xyxy=box)]
    def read_image(self, record):
        if self.root.suffix == ".npy":
            return np.load(self.root)
        return super().read_image(record)
'''


def grey(value: int) -> np.ndarray:
    return np.full((32, 32, 3), value, np.uint8)


def test_images_in_a_data_set_that_is_one_file_count(here):
    (here / "plugin" / "turned.py").write_text(PLUGIN + ARCHIVE)
    given = {"methods": "turned[weights=grey]", "datasets": f"packed={here / 'faces.npy'}"}
    for value in (10, 20):
        np.save(here / "faces.npy", grey(value))
        os.utime(here / "faces.npy", ns=(value, value))
        assert yaw_error(run_in(here, f"run{value}", **given)) == 10 + value


def test_images_outside_of_the_folder_of_the_data_set_count(here):
    (here / "plugin" / "turned.py").write_text(PLUGIN + ARCHIVE)
    (here / "labels").mkdir()
    given = {"methods": "turned[weights=grey]", "datasets": f"packed={here / 'labels'}"}
    for value in (10, 20):
        Image.fromarray(grey(value)).save(here / "0.png")
        os.utime(here / "0.png", ns=(value, value))
        assert yaw_error(run_in(here, f"run{value}", **given)) == 10 + value


def test_network_beside_a_plugin_that_compiled_code_opens_counts_in_one_session(here):
    network = here / "plugin" / "net.safetensors"
    text = PLUGIN.replace('"yaw.txt").read_text()', '"net.safetensors").read_text()')
    (here / "plugin" / "turned.py").write_text(text)
    for yaw in (10, 20):
        network.write_text(str(yaw))
        assert yaw_error(run_in(here, f"of {yaw}")) == yaw


@pytest.mark.parametrize("name", ["net.pth", "net.py", "__pycache__/net.cpython-311.pyc"])
def test_file_counts_whatever_it_is_called(here, name):
    (here / "plugin" / "turned.py").write_text(PLUGIN.replace("yaw.txt", name))
    file = here / "plugin" / name
    file.parent.mkdir(exist_ok=True)
    file.write_text("10")
    (here / "plugin" / "net.py").write_text("10")  # the source of the compiled module
    assert yaw_error(run_in(here, "first")) == 10
    file.write_text("20")
    (here / "plugin" / "net.py").write_text("20")
    assert yaw_error(run_in(here, "second")) == 20


def test_file_that_another_one_names_since_the_method_was_known(here):
    read = '(Path(__file__).parent / "yaw.txt").read_text()'
    (here / "plugin" / "turned.py").write_text(
        PLUGIN.replace(read, f"(Path(__file__).parent / {read}).read_text()")
    )
    names = here / "plugin" / "yaw.txt"
    for name, yaw in (("a", 10), ("b", 20)):
        names.write_text(name)
        (here / "plugin" / name).write_text(str(yaw))
        assert yaw_error(run_in(here, name)) == yaw
    (here / "plugin" / "b").write_text("60")
    assert yaw_error(run_in(here, "third")) == 60


def test_card_is_that_of_the_method_as_it_is_named_now(here):
    cards = []
    for out, spec in (("first", "turned[weights=file.bin]"), ("second", "turned")):
        run_json = json.loads((run_in(here, out, spec) / "run.json").read_text())
        cards.append(run_json["methods"][spec]["card"]["trained_on"])
    assert cards == [[], ["table"]]


def test_image_replaced_with_size_and_time_kept_is_found_by_its_contents(here):
    spec = "turned[weights=grey]"
    assert yaw_error(run_in(here, "first", spec, verify_data=True)) == 10
    assert reused(run_in(here, "again", spec, verify_data=True))
    for image in here.glob("*.bmp"):
        state = image.stat()
        Image.new("RGB", (32, 32), (7, 7, 7)).save(image)
        os.utime(image, ns=(state.st_atime_ns, state.st_mtime_ns))
        assert image.stat().st_size == state.st_size
    assert yaw_error(run_in(here, "second", spec, verify_data=True)) == 17


def test_file_of_an_option_counts_by_its_content(here):
    weights = here / "w.bin"
    cls = METHODS.load("turned", [here / "plugin" / "turned.py"])
    digests = set()
    for content in (b"a", b"b", b"b"):
        weights.write_bytes(content)
        digests.add(plugin_digest(cls(cls.Options(weights=str(weights)))))
    assert len(digests) == 2


@pytest.mark.parametrize("holds", [lambda one: one, lambda one: [one], lambda one: {"a": one}])
def test_plugins_that_a_plugin_holds_count(here, holds):
    weights = here / "w.bin"
    cls = METHODS.load("turned", [here / "plugin" / "turned.py"])
    digests = set()
    for content in (b"a", b"b"):
        weights.write_bytes(content)
        outer = cls()
        outer.held = holds(cls(cls.Options(weights=str(weights))))
        digests.add(plugin_digest(outer))
    assert len(digests) == 2


def test_folder_that_changes_while_it_is_read_is_not_taken(here):
    for k in range(3):
        Image.new("RGB", (32, 32)).save(here / f"{k}.png")
    with pytest.raises(DataError, match="changed while it was read"):
        run_in(here, "out", datasets="gone", data={"gone": here}, trust_labels=True)
    assert not list((here / "cache").glob("*/*.parquet"))


def test_label_that_the_system_did_not_read_is_asked_for_again(here):
    """Linux gives EIO for the start of a process's memory."""
    from scipy.io import savemat

    if not Path("/proc/self/mem").is_file():
        pytest.skip("no file that gives EIO on this system")
    folder = here / "aflw2000"
    folder.mkdir()
    for k in range(3):
        Image.new("RGB", (450, 450)).save(folder / f"image0000{k}.jpg")
        points = np.vstack([np.linspace(100, 300, 68), np.linspace(120, 310, 68), np.zeros(68)])
        content = {"Pose_Para": np.full((1, 7), 0.1 * k), "pt3d_68": points, "pt2d": points[:2]}
        savemat(folder / f"image0000{k}.mat", content)
    (folder / "image00001.mat").unlink()
    (folder / "image00001.mat").symlink_to("/proc/self/mem")
    spec = {"datasets": "aflw2000", "data": {"aflw2000": folder}, "trust_labels": True}
    faces = pd.read_parquet(run_in(here, "out", "constant", **spec) / "faces.parquet")
    assert list(faces["excluded"].dropna()) == ["image00001.mat: read failed: Input/output error"]
    stored = [pd.read_parquet(file) for file in (here / "cache").glob("*/*.parquet")]
    assert [len(table) for table in stored] == [2]  # predictions alone, not the list of faces


@pytest.mark.parametrize("location", ["net.data", "in a folder/" + 40 * "long " + ".bin"])
def test_external_data_of_an_onnx_network(tmp_path, location):
    onnx = pytest.importorskip("onnx", reason="builds the ONNX file of this test")
    numbers = np.arange(300, dtype=np.float32)
    graph = onnx.helper.make_graph(
        [onnx.helper.make_node("Add", ["x", "w"], ["y"])],
        "sum",
        [onnx.helper.make_tensor_value_info("x", onnx.TensorProto.FLOAT, [300])],
        [onnx.helper.make_tensor_value_info("y", onnx.TensorProto.FLOAT, [300])],
        [onnx.numpy_helper.from_array(numbers, "w")],
    )
    path = tmp_path / "net.onnx"
    (tmp_path / location).parent.mkdir(exist_ok=True)
    model = onnx.helper.make_model(graph)
    onnx.save_model(model, path, save_as_external_data=True, location=location, size_threshold=0)
    before, alone = content_hash(path), path.read_bytes()
    (tmp_path / location).write_bytes((numbers + 1).tobytes())
    assert path.read_bytes() == alone
    assert content_hash(path) != before


# ---- code of installed packages, in processes of their own ---------------------------------------

NET = """
from hpbench.landmarks.base import LandmarkDetector
from hpbench.method import Method

class Net(Method):
    name, summary = "net", "for a test"
    card = prepare = infer = decode = None

class Points(LandmarkDetector):
    name, summary = "points", "for a test"
    card = find = None
"""
DIGEST = """
from hpbench.registry import METHODS, make_method
from hpbench.storage.fingerprints import code_digest, plugin_digest
print(code_digest(METHODS.load("net")), plugin_digest(make_method("pnp[landmarks=points]")))
"""


@pytest.fixture(scope="module")
def installed(tmp_path_factory) -> Path:
    """A folder with an installed package of two modules at the top."""
    site = tmp_path_factory.mktemp("site")
    (site / "nets" / "deep").mkdir(parents=True)
    for name in ("__init__.py", "deep/__init__.py", "loading.py", "w.onnx"):
        (site / "nets" / name).write_text("")
    (site / "nets" / "deep" / "net.py").write_text(NET)
    (site / "beside_nets.py").write_text("")
    info = site / "nets-1.0.dist-info"
    info.mkdir()
    (info / "METADATA").write_text("Metadata-Version: 2.1\nName: nets\nVersion: 1.0\n")
    (info / "top_level.txt").write_text("nets\nbeside_nets\n")
    (info / "entry_points.txt").write_text(
        "[hpbench.methods]\nnet = nets.deep.net:Net\n"
        "[hpbench.landmarks]\npoints = nets.deep.net:Points\n"
    )
    return site


def digests(site: Path) -> list[str]:
    environment = {**os.environ, "PYTHONPATH": str(site)}
    done = subprocess.run(
        [sys.executable, "-c", DIGEST], env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    return done.stdout.split()


def test_everything_that_is_installed_with_a_plugin_counts(installed):
    """Also for a landmark detector within ``pnp``, whose code is of another package."""
    seen = [digests(installed)]
    edits = {
        "nets/loading.py": "x = 1", "nets/w.onnx": "other", "beside_nets.py": "x = 1",
        "nets-1.0.dist-info/METADATA": "Metadata-Version: 2.1\nName: nets\nVersion: 1.1\n",
    }  # fmt: skip
    for name, text in edits.items():
        (installed / name).write_text(text)
        seen.append(digests(installed))
    for per_plugin in zip(*seen, strict=True):
        assert len(set(per_plugin)) == len(seen)


def test_package_that_is_edited_in_a_session_is_refused(installed, monkeypatch):
    """Also where a notebook reloads its modules: hpbench cannot know which of them."""
    monkeypatch.syspath_prepend(str(installed))
    module = importlib.import_module("nets.deep.net")
    importlib.import_module("nets.loading")
    code_digest(module.Net)
    (installed / "nets" / "loading.py").write_text("x = 'edited in the session'")
    with pytest.raises(HpbenchError, match=r"loading\.py: was edited since it was imported"):
        code_digest(module.Net)
    (installed / "nets" / "loading.py").write_text("x = 1")


def test_module_of_a_package_that_does_not_run_may_be_edited_and_counts(installed, monkeypatch):
    monkeypatch.syspath_prepend(str(installed))
    module = importlib.import_module("nets.deep.net")
    sys.modules.pop("nets.loading", None)
    (installed / "nets" / "later.py").write_text("x = 1")
    before = code_digest(module.Net)
    (installed / "nets" / "later.py").write_text("x = 2000")
    assert code_digest(module.Net) != before


def test_module_that_is_saved_again_as_it_was_is_not_edited(here, monkeypatch):
    (here / "lib").mkdir()
    monkeypatch.syspath_prepend(str(here / "lib"))
    module = here / "lib" / "saved_again.py"
    module.write_text("YAW_DEG = 1")
    (here / "plugin" / "turned.py").write_text(LAZY.replace("lazily_named", "saved_again"))
    assert yaw_error(run_in(here, "first")) == 1
    os.utime(module, ns=(1, 1))
    assert yaw_error(run_in(here, "second")) == 1


def test_module_in_an_archive_is_no_obstacle(here, monkeypatch):
    with zipfile.ZipFile(here / "lib.zip", "w") as archive:
        archive.writestr("zipped_away.py", "YAW_DEG = 1")
    monkeypatch.syspath_prepend(str(here / "lib.zip"))
    (here / "plugin" / "turned.py").write_text(
        "from zipped_away import YAW_DEG\n" + PLUGIN.replace("self.yaw_deg +", "YAW_DEG +")
    )
    assert yaw_error(run_in(here, "first")) == 1


DETECTOR = '''
from pathlib import Path
import numpy as np
from hpbench.detectors.base import Detector

class Filed(Detector):
    """The whole image, or no face, as a file says that it reads while it is loaded."""
    name, summary = "filed", "for a test"
    def load(self):
        type(self).finds = (Path(__file__).parent / "finds.txt").read_text() == "yes"
    def detect(self, image_rgb):
        boxes = np.array([[1.0, 1.0, 30.0, 30.0]])[: self.finds]
        return boxes, np.ones(len(boxes))
'''


def test_file_that_a_detector_reads_in_load(here):
    (here / "plugin" / "filed.py").write_text(DETECTOR)
    scored = []
    for said in ("yes", "no"):
        (here / "plugin" / "finds.txt").write_text(said)
        folder = run_in(
            here, said, "constant", boxes="filed", plugins=(here / "plugin" / "filed.py",)
        )
        (result,) = json.loads((folder / "results.json").read_text())["results"]
        scored.append(result["images"]["scored"])
    assert scored == [2, 0]


def test_times_of_another_number_of_threads_are_taken_again(here, monkeypatch):
    if usable_cores() == 1:
        pytest.skip("one core has one thread")
    reused_times = []
    for out, threads in (("first", "1"), ("again", "1"), ("second", "2")):
        monkeypatch.setenv("OMP_NUM_THREADS", threads)
        folder = run_in(here, out, "constant", timing="quick", timing_images=1)
        record = json.loads((folder / "run.json").read_text())
        reused_times.append(record["reused"]["timing"] is not None)
    assert reused_times == [False, True, False]
