"""The house rules: who may import whom, how long files and functions may be, and that README and pyproject are true."""

import ast
import functools
import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest
from help_texts import help_of

ROOT = Path(__file__).resolve().parent.parent
ROOMS = ("inpaint", "models", "data_prep")
FORBIDDEN = {"models": {"inpaint", "data_prep"}, "data_prep": {"torch", "torchvision", "models", "inpaint"}}
LONGEST_FILE, LONGEST_TEST_FILE, LONGEST_FUNCTION = 300, 400, 60  # lines; of a function without its docstring
MOST_PARAMETERS = 8
MORE_PARAMETERS = {
    "inpaint/filling.py: fill",
    "inpaint/hole_scores.py: score",
    "inpaint/app/api.py: fill",
}  # are public
HOLE_IS_SLICED_IN = {"data_prep/hole.py", "models/layers/region.py"}  # the latter crops any region of a map
MACHINE_PATH = re.compile(r"(?<![\w.])(?:/(?:home|root|Users|mnt|opt|srv|work)/\w|[A-Z]:\\\\?Users)")
# The name that is installed, where it differs from the name that is imported.
DISTRIBUTION = {
    "PIL": "pillow",
    "skimage": "scikit-image",
    "pillow_heif": "pillow-heif",
    "tokenizers": "wordllama",  # which brings them
    "huggingface_hub": "huggingface-hub",
    "gradio_client": "gradio",  # both come with it
    "starlette": "gradio",
}
OPTIONAL = {"gradio", "huggingface-hub", "pillow-heif", "wordllama"}  # in extras of their own


def files_of_the_project():
    """Paths of the files that git tracks or would; of every file outside hidden folders where there is no git."""
    command = ["git", "ls-files", "--cached", "--others", "--exclude-standard"]
    listing = subprocess.run(command, cwd=ROOT, capture_output=True, text=True)
    if listing.returncode == 0:
        return [ROOT / name for name in listing.stdout.splitlines() if (ROOT / name).is_file()]
    visible = (p for p in ROOT.rglob("*") if not any(part.startswith(".") for part in p.relative_to(ROOT).parts))
    return [p for p in visible if p.is_file()]


def python_files(*folders):
    """The project's Python files, or only those below `folders`."""
    files = [p for p in files_of_the_project() if p.suffix == ".py"]
    return [p for p in files if not folders or p.relative_to(ROOT).parts[0] in folders]


def imports_of(path):
    """The absolute module names that a file imports anywhere, inside functions too; a relative one is made absolute."""
    package = list(path.relative_to(ROOT).parts[:-1])
    names = set()
    for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
        if isinstance(node, ast.Import):
            names |= {alias.name for alias in node.names}
        elif isinstance(node, ast.ImportFrom):
            base = package[: len(package) - node.level + 1] if node.level else []
            names.add(".".join(base + [node.module] if node.module else base))
    return names


@functools.cache
def readme():
    """README.md as text."""
    return (ROOT / "README.md").read_text(encoding="utf-8")


@functools.cache
def options_of(program):
    """The options that a program's --help shows; `program` is the words after `python`."""
    code, said = help_of(program)
    assert code == 0, said
    return set(re.findall(r"(?<![\w-])--[a-z][a-z0-9-]*", said))


def commands_in(text):
    """(program, options) for each command of ours in the lines of a shell text, continued lines joined."""
    commands = []
    for line in text.replace("\\\n", " ").splitlines():
        words = shlex.split(line, comments=True)
        for i, word in enumerate(words):
            if word.endswith(".py"):
                program, rest = (word,), words[i + 1 :]
            elif words[i : i + 2] == ["-m", "inpaint"]:
                program, rest = ("-m", "inpaint", *words[i + 2 : i + 3]), words[i + 3 :]
            else:
                continue
            commands.append((program, {option.split("=")[0] for option in rest if option.startswith("--")}))
            break
    return commands


def unknown_options(commands):
    """Those options of the commands that their program's --help does not show."""
    return [f"{' '.join(program)}: {option}" for program, used in commands for option in used - options_of(program)]


@pytest.mark.parametrize("room", FORBIDDEN)
def test_no_room_imports_what_it_must_not(room):
    files = python_files(room)
    assert len(files) > 1
    wrong = [
        f"{path.name}: {name}" for path in files for name in imports_of(path) if name.split(".")[0] in FORBIDDEN[room]
    ]
    assert not wrong


def test_importing_all_of_data_prep_brings_no_torch():
    modules = [".".join(path.relative_to(ROOT).with_suffix("").parts) for path in python_files("data_prep")]
    code = f"import sys, {', '.join(modules)}; print(*sorted({{name.split('.')[0] for name in sys.modules}}))"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    brought = set(done.stdout.split())
    assert "data_prep" in brought and not brought & FORBIDDEN["data_prep"]


@pytest.mark.parametrize("command", ["evaluate", "fill", "export"])  # training needs torchvision, which needs it
def test_a_command_starts_without_what_takes_long_to_import(command):
    """torch's compiler is a third of the time that a command would start in, scipy.stats and nltk are a quarter."""
    code = f"import sys, models, inpaint.commands.{command}; print(*sys.modules)"
    done = subprocess.run([sys.executable, "-c", code], cwd=ROOT, capture_output=True, text=True)
    assert done.returncode == 0, done.stderr
    assert "torch" in done.stdout.split()
    assert not {"torch._dynamo", "scipy.stats", "nltk", "sympy"} & set(done.stdout.split())


def test_every_python_file_is_short_enough_to_read():
    lengths = {str(p.relative_to(ROOT)): len(p.read_text(encoding="utf-8").splitlines()) for p in python_files()}
    assert len(lengths) > 10
    limits = {name: LONGEST_TEST_FILE if name.startswith("tests/") else LONGEST_FILE for name in lengths}
    assert not {name: length for name, length in lengths.items() if length > limits[name]}


def functions():
    """("path: name", node) of each function outside tests/."""
    for path in python_files():
        name = path.relative_to(ROOT).as_posix()
        if not name.startswith("tests/"):
            for node in ast.walk(ast.parse(path.read_text(encoding="utf-8"))):
                if isinstance(node, ast.FunctionDef | ast.AsyncFunctionDef):
                    yield f"{name}: {node.name}", node


def test_every_function_is_short_enough_to_read():
    too_long = {}
    for name, function in functions():
        body = function.body[1:] if ast.get_docstring(function) is not None else function.body
        length = function.end_lineno - body[0].lineno + 1 if body else 0
        if length > LONGEST_FUNCTION:
            too_long[name] = length
    assert not too_long


def test_functions_take_at_most_8_parameters():
    counts = {}
    for name, function in functions():
        arguments = [*function.args.posonlyargs, *function.args.args, *function.args.kwonlyargs]
        counts[name] = len([argument for argument in arguments if argument.arg not in ("self", "cls")])
    assert len(counts) > 500
    assert {name for name, count in counts.items() if count > MOST_PARAMETERS} == MORE_PARAMETERS


def test_the_hole_is_sliced_in_one_place():
    slicing = re.compile(r"\btop : top \+|\bleft : left \+ w|slice\(top, top \+")
    found = {
        path.relative_to(ROOT).as_posix()
        for path in python_files(*ROOMS)
        if slicing.search(re.sub(r"image\[top : top \+ size, .*object_mask", "", path.read_text(encoding="utf-8")))
    }
    assert found == HOLE_IS_SLICED_IN


def test_intensities_become_minus_1_to_1_in_one_place():
    files = [path for path in python_files() if path.relative_to(ROOT).parts[0] != "tests"]
    found = [path.name for path in files if re.search(r"\b127\.5\b", path.read_text(encoding="utf-8"))]
    assert found == ["intensity.py"]


def test_a_file_is_hashed_in_one_place_and_written_atomically_in_one():
    texts = {path.relative_to(ROOT).as_posix(): path.read_text(encoding="utf-8") for path in python_files(*ROOMS)}
    hashed = [name for name, text in texts.items() if re.search(r"update\(chunk\)", text)]
    assert hashed == ["data_prep/digest.py"]
    moved = {name for name, text in texts.items() if "os.replace(temporary" in text}
    assert moved == {"data_prep/files.py"}


def test_no_file_names_a_path_of_somebody_s_machine():
    found = []
    for path in files_of_the_project():
        try:
            text = path.read_text(encoding="utf-8")
        except UnicodeDecodeError:
            continue
        found += [
            f"{path.relative_to(ROOT)}: {line.strip()}" for line in text.splitlines() if MACHINE_PATH.search(line)
        ]
    assert not found


def test_the_pattern_for_a_machine_s_path_finds_one_and_spares_addresses():
    assert MACHINE_PATH.search("data = '" + "/".join(["", "home", "ann", "coco'"]))
    assert not MACHINE_PATH.search("https://github.com/home/page and recipes/root/x")


def test_pyproject_declares_exactly_what_the_program_imports():
    text = (ROOT / "pyproject.toml").read_text(encoding="utf-8")
    listed = re.search(r"^dependencies = \[(.*?)\]", text, flags=re.DOTALL | re.MULTILINE).group(1)
    declared = set(re.findall(r'"([A-Za-z0-9_-]+)', listed))
    scripts = [path for path in python_files() if path.parent == ROOT]
    imported = {name for path in [*python_files(*ROOMS), *scripts] for name in imports_of(path)}
    used = {"tensorboard"} if "torch.utils.tensorboard" in imported else set()  # torch's writer is a face of it
    for name in {name.split(".")[0] for name in imported} - set(sys.stdlib_module_names) - set(ROOMS):
        used.add(DISTRIBUTION.get(name, name))
    assert used - {path.stem for path in scripts} - OPTIONAL == declared
    assert all(re.search(rf'^\w+ = \["{name}>=', text, re.MULTILINE) for name in OPTIONAL)


def test_constraints_pin_every_declared_dependency():
    project = (ROOT / "pyproject.toml").read_text(encoding="utf-8").split("[project]")[1].split("[tool.")[0]
    declared = set(re.findall(r'"([A-Za-z0-9_-]+)>=[\d.]+[^"]*"', project))
    pinned = set(
        re.findall(r"^([A-Za-z0-9_-]+)==", (ROOT / "constraints.txt").read_text(encoding="utf-8"), re.MULTILINE)
    )
    assert len(declared) > 10 and declared <= pinned


def test_make_demo_s_commands_use_only_options_that_help_shows():
    recipes = "\n".join(re.findall(r"^\t@?(.*(?:\\\n.*)*)", (ROOT / "Makefile").read_text(encoding="utf-8"), re.M))
    commands = [command for command in commands_in(recipes) if command[0] != ("tests/soak.py",)]
    scripts = [("data_prep/build_h5.py",), ("train_inpaint.py",), ("evaluate.py",)]
    assert [program for program, _ in commands] == [("-m", "inpaint", "fill"), *scripts, ("-m", "inpaint", "serve")]
    assert not unknown_options(commands)


def test_readme_names_five_files_to_read_and_they_exist():
    section = readme().split("## One image, from JPEG to nats")[1].split("\n## ")[0]
    named = re.findall(r"^\d\. \[`([^`]+)`\]\(([^)]+)\)", section, flags=re.MULTILINE)
    assert len(named) == 5
    assert not [label for label, target in named if label != target or not (ROOT / target).is_file()]
