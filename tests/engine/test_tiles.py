"""Tiles: they cover their arrays once, in order, and each fits the cache."""

import numpy as np
import pytest

from minivit.engine import tiles


@pytest.mark.parametrize("size", [1, 30, 2 * 5 * 9, 3 * 2 * 5 * 9 - 1, 10 ** 6])
@pytest.mark.parametrize("by_query", [False, True])
def test_tiles_of_heads_cover_each_score_once(size, by_query, monkeypatch):
    monkeypatch.setattr(tiles, "SCORES_PER_TILE", {"cpu": size})
    query, key, out = np.zeros((2, 7, 5, 3)), np.zeros((2, 7, 9, 3)), np.zeros((2, 7, 5, 3))

    def seen(q, k, other, *out):
        assert q.shape[:2] == k.shape[:2] == other.shape[:2] and k.shape[2:] == (9, 3) and other.shape[2:] == (4,)
        scores = q.shape[0] * q.shape[1] * q.shape[2] * 9
        assert scores <= max(size, 2 * 9 * (1 if by_query else 5))
        assert by_query or q.shape[2] == 5
        for array in (q, *out):
            array += 1.0

    tiles.by_heads(seen, query, key, np.zeros((2, 7, 4)), **{"out": out} if by_query else {})
    assert (query == 1).all() and (out == by_query).all()


@pytest.mark.parametrize("rows, tile_bytes", [(1, 1), (7, 64), (7, 3 * 64), (7, 10 ** 6)])
def test_tiles_of_rows_cover_each_row_once_and_in_order(rows, tile_bytes, monkeypatch):
    monkeypatch.setattr(tiles, "TILE_BYTES", tile_bytes)
    wide, narrow = np.zeros((2, rows, 8)), np.arange(2.0 * rows).reshape(2, rows, 1)

    def first_row(wide, narrow, weight, number):
        assert weight.shape == (8,) and number == 2.0                   # given whole
        assert wide.nbytes <= max(tile_bytes, 64)
        wide += number
        return float(narrow.ravel()[0])

    starts = tiles.by_rows(first_row, wide, narrow, whole=(np.ones(8), 2.0))
    assert (wide == 2).all()
    assert starts == sorted(starts) and starts[0] == 0 and len(starts) == -(-2 * rows // max(1, tile_bytes // 64))
