"""`minivit embed`: what a model makes of many images, as a table."""

from .arguments import add_device, add_model, model_from, new_command, positive, whole

DESCRIPTION = """\
Write a row for each image of SOURCE: its path, the likeliest classes, the representation that the head reads, and how
far its attention looks where asked. SOURCE is a folder with all folders in it, a .zip, a .txt with a path on each line,
or a pattern in quotes. An image that cannot be read becomes a row with its error, and the exit status is then 2.
"""

EXAMPLE = """\
  minivit embed photos -o features.parquet
  minivit embed 'scans/**/*.png' -o features.csv --representation float16 --attention
  minivit embed photos -o features.parquet --resume
  minivit embed photos -o features.parquet --cluster tcp://10.0.0.1:8786
"""


def add_to(commands):
    """Add `embed` to argparse's sub-parsers."""
    parser = new_command(commands, "embed", run, "answers and representations of many images, as a table",
                         DESCRIPTION, EXAMPLE)
    parser.add_argument("source", metavar="SOURCE", help="a folder, .zip, .txt of paths, or a pattern")
    parser.add_argument("-o", "--output", metavar="FILE", required=True,
                        help="the table: .csv, .json or .parquet by its ending")
    parser.add_argument("--top", type=whole, default=5, metavar="N",
                        help="classes in a row, 0 for none (default: %(default)s)")
    parser.add_argument("--representation", choices=("float32", "float16", "none"), default="float32",
                        help="how to write what the head reads (default: %(default)s)")
    parser.add_argument("--attention", action="store_true",
                        help="each layer's mean attention distance (pixels) and entropy (nats): a second pass")
    add_running(parser)
    add_model(parser)
    add_device(parser)


def add_running(parser):
    """The options for a long run: how it is begun, gone on with, and shared."""
    parser.add_argument("--resume", action="store_true", help="go on with a run that was stopped")
    parser.add_argument("--overwrite", action="store_true", help="begin anew, whatever is there")
    parser.add_argument("--batch-size", type=positive, metavar="N",
                        help="images that a thread takes at a time (default: 32, fewer of a large model)")
    parser.add_argument("--cluster", metavar="ADDRESS",
                        help="compute on Dask workers: a scheduler's tcp://HOST:PORT, or local for workers here")
    parser.add_argument("--send-files", action="store_true",
                        help="send the images' bytes to the workers, which do not see the same folders")


def run(options):
    """Embed, with a progress bar."""
    from ..many.embedding import checked
    model = model_from(options)
    wanted = checked(options.top, None if options.representation == "none" else options.representation,
                     options.attention)
    return written(options.source, options.output, options, model, wanted)


def written(source, output, options, model, wanted):
    """Write the rows of a source to a file, and say how many. Returns the exit status."""
    from pathlib import Path

    from tqdm import tqdm

    from ..errors import plain
    from ..many import cluster, formats
    from ..many.embedding import embed_to
    if formats.format_of(output) == "parquet":
        formats.needs_pyarrow()
    if options.send_files and not options.cluster:
        raise ValueError("send_files is for a cluster: this machine reads the files itself")
    client = cluster.connect(options.cluster) if options.cluster else None
    try:
        with tqdm(desc=plain(Path(output).name), unit=" images", mininterval=1, delay=1) as bar:
            images, errors = embed_to(output, source, model, wanted, batch_size=options.batch_size, cluster=client,
                                      send_files=options.send_files, resume=options.resume,
                                      overwrite=options.overwrite, advance=bar.update)
    finally:
        if client is not None:
            cluster.disconnect(client)
    print(f"{plain(output)}: {images:,} images" + (f", {errors:,} of them with an error" if errors else ""))
    return 2 if errors else 0
