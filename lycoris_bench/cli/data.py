"""Commands outside the four stages: `caption`, `import-published` and `relevance`. They parse
arguments and call the module that does the work."""

import json
from pathlib import Path
from typing import Annotated

import typer

from lycoris_bench.data.captioning.tags import TAGGER
from lycoris_bench.messages.printable import lines, printable


def register(app: typer.Typer) -> None:
    """Adds the commands to the program."""

    @app.command()
    def caption(
        folder: Annotated[
            Path, typer.Argument(metavar="DIR", help="Images in folders category/class.")
        ],
        strategy: Annotated[
            str, typer.Option(help="none, all or adjusted (less the tags of tags.toml).")
        ] = "adjusted",
        threshold: Annotated[float, typer.Option(help="Least probability of a tag.")] = 0.35,
        tagger: Annotated[
            str, typer.Option(metavar="MODEL", help="Folder or hub id of a WD tagger.")
        ] = TAGGER,
        tags: Annotated[
            str | None, typer.Option(metavar="FILE", help="Tags to leave out (DIR/tags.toml).")
        ] = None,
        words: Annotated[
            str | None,
            typer.Option(
                metavar="TREE",
                help="Prompt tree with concepts.toml and tags.toml, if DIR has none.",
            ),
        ] = None,
        descriptor: Annotated[
            str, typer.Option(help="What all images of DIR show, in place of a table of concepts.")
        ] = "",
        template: Annotated[str, typer.Option(help="What 'none' writes: 'a photo of {}'.")] = "{}",
        extension: Annotated[
            str, typer.Option(help="Of the caption files: .txt, .all-tags or .no-tags.")
        ] = "",
        force: Annotated[bool, typer.Option("--force", help="Replace captions.")] = False,
        device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
        as_json: Annotated[bool, typer.Option("--json", help="The result as JSON.")] = False,
        debug: Annotated[bool, typer.Option("--debug", help="Tracebacks.")] = False,
    ) -> None:
        """Write a caption file next to each image: the concept's name, then a tagger's tags."""
        from lycoris_bench.data.captioning.write import CaptionOptions, write
        from lycoris_bench.run import environment
        from lycoris_bench.study.places import locate

        here = Path.cwd()
        options = CaptionOptions(
            strategy, threshold, tagger, extension, template, descriptor,
            locate(words, here) if words else None, locate(tags, here) if tags else None, force,
        )  # fmt: skip
        done = write(folder, options, environment.device(device))
        text = done.pop("text")
        typer.echo(json.dumps(done) if as_json else lines(text))

    @app.command("import-published")
    def import_published(
        folder: Annotated[
            Path,
            typer.Argument(
                metavar="DIR", help="A clone of github.com/cyber-meow/LyCORIS-evaluation."
            ),
        ],
        out: Annotated[
            Path, typer.Option("--out", metavar="OUT", help="Where prompts and runs are written.")
        ] = Path("runs/published"),
        force: Annotated[
            bool, typer.Option("--force", help="Replace files of OUT that an import did not write.")
        ] = False,
        debug: Annotated[bool, typer.Option("--debug", help="Tracebacks.")] = False,
    ) -> None:
        """Convert the paper's published prompts to a prompt tree, its metric tables to runs."""
        from lycoris_bench.published.import_published import import_published

        typer.echo(lines(import_published(folder, out, force)["text"]))

    @app.command()
    def relevance(
        folder: Annotated[
            Path, typer.Argument(metavar="DIR", help="Images in folders [category/]class.")
        ],
        encoders: Annotated[
            list[str] | None,
            typer.Option("--encoders", help="name or name:resizing; once for each."),
        ] = None,
        sizes: Annotated[
            list[int] | None,
            typer.Option("--sizes", help="Samples of so many images too; once for each."),
        ] = None,
        seed: Annotated[int, typer.Option(help="Seed of the samples.")] = 0,
        batch_size: Annotated[int, typer.Option(help="Images encoded at once.")] = 16,
        out: Annotated[Path, typer.Option("--out", metavar="FILE", help="The whole table.")] = Path(
            "relevance.csv"
        ),
        force: Annotated[
            bool, typer.Option("--force", help="Replace FILE even if it is another's.")
        ] = False,
        device: Annotated[str, typer.Option(help="auto, cpu, cuda or cuda:N.")] = "auto",
        debug: Annotated[bool, typer.Option("--debug", help="Tracebacks.")] = False,
    ) -> None:
        """How much a class matters to each encoder: diversity within classes / of all images."""
        from lycoris_bench.files import disk
        from lycoris_bench.run import environment
        from lycoris_bench.scoring import diversity_ratio

        folder = disk.expand(folder)
        diversity_ratio.refuse_foreign(out, force)
        table = diversity_ratio.relevance(
            folder,
            encoders or diversity_ratio.ENCODERS,
            sizes or (),
            seed,
            environment.device(device),
            batch_size,
        )
        disk.write(out, diversity_ratio.as_csv(table))
        if single := diversity_ratio.left_out(folder):
            shown = printable(", ".join(single))
            typer.echo(
                f"warning: {len(single)} folders of one image, which has no diversity, are left "
                f"out: {shown}", err=True,
            )  # fmt: skip
        summary = diversity_ratio.summary(table, sizes or ())
        typer.echo(f"{summary}\n\nall {len(table)} numbers: {out}")
