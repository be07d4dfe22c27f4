"""The training images as one small file, to take to a machine with a GPU that cannot fetch them.

    python benchmarks/pack_images.py cifar10.zip runs/images.tar.gz

Small JPEG files consist mostly of the same tables over and over. A .tar.gz compresses all files together and stores
these once, where a zip takes each file by itself: CIFAR-10's 50,000 training images are 46.0 MB in JPEG files, and
16.2 MB here. The files stay what they were, to the byte, and `minivit train` reads the archive as it reads the zip.
"""

import argparse
import io
import tarfile
import zipfile
from pathlib import Path

from minivit.checkpoints.atomic import replacing


def pack(source, target, split):
    """Write the files of the zip's split into a .tar.gz, in the order of their names. Returns how many there are."""
    with zipfile.ZipFile(source) as archive:
        names = sorted(n for n in archive.namelist() if n.startswith(f"{split}/") and not n.endswith("/"))
        if not names:
            raise SystemExit(f"{source} holds no file in {split}/: name another split with --split")
        target.parent.mkdir(parents=True, exist_ok=True)
        with replacing(target) as temporary, tarfile.open(temporary, "w:gz", compresslevel=6) as packed:
            for name in names:
                content = archive.read(name)
                member = tarfile.TarInfo(name)
                member.size = len(content)
                packed.addfile(member, io.BytesIO(content))
    return len(names)


def main():
    """Pack, and print the size."""
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("source", type=Path, metavar="ZIP")
    parser.add_argument("target", type=Path, metavar="FILE.tar.gz")
    parser.add_argument("--split", default="train", help="the folder in the zip to take (%(default)s)")
    options = parser.parse_args()
    count = pack(options.source, options.target, options.split)
    print(f"{options.target}: {count:,} files, {options.target.stat().st_size / 1e6:.1f} MB")


if __name__ == "__main__":
    main()
