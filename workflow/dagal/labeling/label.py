"""``python -m dagal label results/STUDY``: the page on which people answer the queries that wait."""

import argparse
from pathlib import Path

from dagal import artifacts
from dagal.errors import UserError
from dagal.labeling import pages, server
from dagal.labeling.desk import Desk, Work, checked, read_given, read_work


def add_command(commands) -> None:
    """Add ``label`` to the subparsers of `dagal.__main__`."""
    parser = commands.add_parser(
        "label",
        help="open the page on which people answer the queries of a study",
        description="Serve the labeling page of a study to a browser on this machine, until Ctrl-C. Each answer is on the disk before "
        "the page hears of it; what was not sent when the server or the browser died is sent when both are back.",
    )
    parser.add_argument("results", type=Path, metavar="results/STUDY", help="the folder of the study's results")
    parser.add_argument(
        "--port", type=int, metavar="N", help="port of the page (default: that of the last time, or any)"
    )
    parser.add_argument(
        "--html", type=Path, metavar="OUT.html", help="write the page as one file instead, for an annotator elsewhere"
    )
    parser.add_argument("--take", type=Path, metavar="FILE", help="take in the answers that such a page saved")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> None:
    """Serve or write the page, or take answers in. Raises UserError if nothing waits, or a file holds no answers to it."""
    if options.html:
        work = read_work(options.results)
        artifacts.write_text(options.html, pages.standalone(work))
        print(f"{_left(work):,} images in {options.html}; take its answers in by --take FILE")
    elif options.take:
        print(f"{take(options.results, options.take):,} new answers from {options.take}")
    else:
        page = server.start(options.results, options.port)
        address = f"http://{server.ADDRESS}:{page.server_port}/?token={page.token}"
        print(f"{_left(page.work):,} images wait for labels; open {address} and end with Ctrl-C", flush=True)
        try:
            page.serve_forever()
        except KeyboardInterrupt:
            print("\nall answers are saved; run the study by snakemake to go on")


def _left(work: Work) -> int:
    return sum(item["left"] for item in work.items)


def take(results: Path, path: Path) -> int:
    """Answers of a file of the page into the file of answers, all or none of them; how many were not there before."""
    work, new = read_work(results), []
    for number, given in read_given(path):
        try:
            new.append(checked(given, work))
        except UserError as error:
            raise UserError(f"{path}, line {number}: {error}") from None
    return Desk(results).take(new)
