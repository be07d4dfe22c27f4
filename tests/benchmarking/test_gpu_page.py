"""docs/gpu.md says what the committed session found, and nothing else."""

from benchmarks import gpu_page


def test_the_page_is_that_of_the_committed_results():
    page = gpu_page.PAGE.read_text("utf-8")
    assert gpu_page.filled(page, gpu_page.results()) == page


def test_without_results_the_page_says_so():
    page = f"before\n{gpu_page.BEGIN}\nold\n{gpu_page.END}\nafter\n"
    assert "No session on a GPU is recorded" in gpu_page.filled(page, None)
    assert "old" not in gpu_page.filled(page, None) and gpu_page.filled(page, None).endswith("\nafter\n")


def test_results_are_told_with_their_failures():
    parts = [{"name": "tests", "began": "2030-01-02T03:04:05+00:00", "seconds": 9.6, "end": "clock",
              "note": "It was in a hurry.", "results": [
                 {"test": "tests/gpu/test_gpu.py::test_a", "outcome": "PASSED"},
                 {"test": "tests/gpu/test_gpu.py::test_b", "outcome": "FAILED"}]},
             {"name": "table", "began": "2030-01-02T03:04:15+00:00", "seconds": 60, "end": "ended", "results": [
                 {"machine": ["Some GPU"]},
                 {"what": "forward", "milliseconds": 12.345, "other_milliseconds": 10.0, "ratio": 1.2345},
                 {"what": "alone", "milliseconds": 1.0, "other_milliseconds": None, "ratio": None}]},
             {"name": "training", "began": "2030-01-02T03:05:15+00:00", "seconds": 1, "end": "ended", "results": [
                 {"epoch": "1", "held_out_accuracy": "0.25", "images_per_second": "1234.5"}]}]
    text = gpu_page.text(parts)
    for line in ("It was in a hurry.", "1 failed, 1 passed", "- failed: `tests/gpu/test_gpu.py::test_b`",
                 "10 s: clock", "Some GPU", "| forward | 12.3 | 10 | 1.23 |", "| alone | 1 | - | - |",
                 "1 epochs, at the last of them 25.0 % of the held-out images and 1,234 images a second"):
        assert line in text, line
