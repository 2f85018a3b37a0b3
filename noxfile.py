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
    """Build the site, warnings are errors."""
    install(session, "docs")
    session.run("mkdocs", "build", "--strict", *session.posargs)


@nox.session
def bench(session):
    """Measure maskkit beside its peers; posargs are FACES [PHOTOS] and options of maskkit benchmark."""
    install(session, "benchmark")
    session.run("maskkit", "benchmark", *session.posargs)


@nox.session
def examples(session):
    """Run every example on drawn faces."""
    install(session, "test")
    session.run("pytest", "tests/test_examples.py", *session.posargs)
