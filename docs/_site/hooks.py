"""Pages of the site that are made of other files: README, examples, labs, and a reference of the public names.

MkDocs calls the functions whose names begin with `on_`.
"""

import ast
import base64
import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from latex2mathml.converter import convert
from mkdocs.structure.files import File, Files

ROOT = Path(__file__).parents[2]
TEXTS = {
    "README.md": "index.md",
    "CONTRIBUTING.md": "contributing.md",
    "CHANGELOG.md": "changelog.md",
    "LICENSE": "license.md",
    "trading_env/data/us-stocks/README.md": "us-stocks.md",
    "examples": "examples/index.md",
}
ROOMS = {  # of trading_env, with their public names
    "envs": "Environments",
    "envs.portfolio": "Portfolio environments",
    "config": "Costs and margin",
    "data": "Data",
    "features": "Features",
    "analysis": "Backtest and analysis",
    "report": "Report",
    "live": "Live",
}
METHODS = "learn, resume, predict, save, load, set_env, get_env, get_parameters, set_parameters"
OF_AGENTS = f"{{members: [{METHODS}]}}"
LINK = re.compile(r"\]\(#([\w-]+)\)")
MATHS = re.compile(r'<(span|div) class="arithmatex">\\[(\[](.*?)\\[)\]]</\1>', re.DOTALL)


def on_files(files: Files, config: Any) -> Files:
    """Adds the pages that are made of other files, and puts them into the navigation."""
    pages = {place: text_of(source) for source, place in TEXTS.items() if source != "examples"}
    parts = {"Examples": dict(examples()), "Labs": dict(labs()), "Reference": dict(reference())}
    parts["Agents"] = dict(algorithms())
    for name, part in parts.items():
        pages |= part
        if (nav := section(config["nav"], name)) is None:
            raise KeyError(f"mkdocs.yml has no part {name} in its nav")
        nav += [place for place in part if place.endswith(".md") and place not in nav]
    for place, content in pages.items():
        files.append(File.generated(config, place, content=content))
    return files


def on_page_markdown(markdown: str, page: Any, **_: Any) -> str:
    """Leads links from the docs to examples to their pages, and those to an algorithm to its own page."""
    if page.file.src_uri == "agents.md":
        common, found = sections()
        markdown = LINK.sub(lambda m: f"](agents/{m[1]}.md)" if m[1] in found else m[0], common)
    return re.sub(r"\]\(\.\./examples/(\w+)\.py\)", r"](examples/\1.md)", markdown)


def on_page_content(html: str, **_: Any) -> str:
    """Writes formulas as MathML, which browsers show without a script."""
    return MATHS.sub(lambda m: convert(unescape(m[2]), display="block" if m[1] == "div" else "inline"), html)


def unescape(text: str) -> str:
    """A formula without the escapes of HTML."""
    return text.replace("&lt;", "<").replace("&gt;", ">").replace("&amp;", "&")


def section(nav: list[Any], name: str) -> list[Any] | None:
    """The list of the navigation with this title."""
    for entry in nav:
        if isinstance(entry, dict):
            for title, inside in entry.items():
                if title == name:
                    return inside
                if isinstance(inside, list) and (found := section(inside, name)) is not None:
                    return found
    return None


def text_of(source: str) -> str:
    """A file of the repository as a page, with links to the pages of the site."""
    text = (ROOT / source).read_text()
    return linked(text) if source.endswith(".md") else f"# {source.capitalize()}\n\n```text\n{text}```\n"


def linked(text: str) -> str:
    """The text with links as they lead from the top of the site."""
    for source, place in TEXTS.items():
        text = text.replace(f"]({source}", f"]({place}")
    return text.replace("](docs/", "](")


def examples() -> Iterator[tuple[str, str]]:
    """The examples, and a page that lists them."""
    lines = ["# Examples", "", "Short programs, each run by a test.", ""]
    pages = {}
    for path in sorted((ROOT / "examples").glob("*.py")):
        code = path.read_text()
        said = (ast.get_docstring(ast.parse(code)) or "").partition("\n")[0]
        title = path.stem.replace("_", " ").capitalize()
        lines.append(f"- [{title}]({path.stem}.md): {said}")
        command = f"```sh\npython examples/{path.name}\n```"
        pages[f"examples/{path.stem}.md"] = f"# {title}\n\n{command}\n\n```python\n{code}```\n"
    yield "examples/index.md", "\n".join([*lines, ""])
    yield from pages.items()


def sections() -> tuple[str, dict[str, str]]:
    """docs/agents.md: what agents have in common, and the sections of the algorithms by their anchors."""
    text = (ROOT / "docs" / "agents.md").read_text()
    intro, common, *algorithms = re.split(r"^(?=## )", text, flags=re.MULTILINE)
    return intro + common, {part[3 : part.index("\n")].lower(): part[1:] for part in algorithms}


def algorithms() -> Iterator[tuple[str, str]]:
    """A page for each algorithm: its section of docs/agents.md, and where its reference is."""
    _, found = sections()
    agents = {name.lower() for name in literal(ROOT / "agents" / "__init__.py", "AGENTS")}
    for anchor, text in found.items():
        text = re.sub(r"\]\((\w+\.(?:md|png))", r"](../\1", text)
        text = LINK.sub(lambda m: f"]({m[1]}.md)" if m[1] in found else f"](../agents.md#{m[1]})", text)
        more = f"\nEvery keyword and method: [reference](../reference/{anchor}.md).\n" if anchor in agents else ""
        yield f"agents/{anchor}.md", text + more


def labs() -> Iterator[tuple[str, str | bytes]]:
    """The labs with their solutions and outputs, from their notebooks."""
    import nbformat

    for path in sorted((ROOT / "course").glob("*/solution.ipynb")):
        lab, lines, pictures = path.parent.name, [], 0
        for cell in nbformat.read(path, as_version=4).cells:
            if cell.cell_type != "code":
                lines += [cell.source, ""]
                continue
            lines += ["```python", cell.source, "```", ""]
            for output in cell.outputs:
                data = output.get("data", {})
                kind = next((kind for kind in ("png", "gif") if f"image/{kind}" in data), None)
                if kind is not None:
                    pictures += 1
                    name = f"{lab}-{pictures}.{kind}"
                    yield f"labs/{name}", base64.b64decode(data[f"image/{kind}"])
                    lines += [f"![Output of the code above]({name})", ""]
                else:
                    text = output.get("text", data.get("text/plain", ""))
                    lines += ["```text", text.rstrip(), "```", ""]
        yield f"labs/{lab}.md", "\n".join(lines)


def reference() -> Iterator[tuple[str, str]]:
    """A page for each room of public names, and one for each agent."""
    homes = literal(ROOT / "trading_env" / "__init__.py", "_HOMES")
    for room, title in ROOMS.items():
        here = [name for name, home in homes.items() if room_of(home) == room]
        names = sorted(here, key=lambda name: (not name.endswith("Env"), name))  # envs first
        place = f"reference/{room.replace('.', '-')}.md"
        yield place, page(title, [f"trading_env.{homes[name]}.{name}" for name in names])
    for name, module in literal(ROOT / "agents" / "__init__.py", "AGENTS").items():
        path = f"{module}.{name}"
        yield f"reference/{name.lower()}.md", page(name, [f"{path}\n    options: {OF_AGENTS}", f"{path}Config"])


def room_of(home: str) -> str:
    """The room of a module, the longest of ROOMS that it stands in."""
    return max((room for room in ROOMS if f"{home}.".startswith(f"{room}.")), key=len)


def page(title: str, paths: list[str]) -> str:
    """A page with the docstrings of these objects."""
    return "\n".join([f"# {title}", "", *(f"::: {path}\n" for path in paths)])


def literal(path: Path, name: str) -> dict[str, str]:
    """The value of a literal of a module, which is not imported."""
    for node in ast.parse(path.read_text()).body:
        if isinstance(node, ast.Assign) and isinstance(node.targets[0], ast.Name) and node.targets[0].id == name:
            return ast.literal_eval(node.value)
    raise KeyError(name)
