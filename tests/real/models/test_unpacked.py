"""The default target's weights, unpacked once and kept; what is taken from the Hub."""

from pathlib import Path

from ssdreal.models import folders, gguf_weights


def written(_source: Path, folder: Path) -> None:
    (folder / "config.json").write_text("{}")


def test_the_unpacked_target_is_kept_once(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(gguf_weights, "_convert", written)
    folder = gguf_weights.converted_folder.__wrapped__()
    assert folder.parent == tmp_path / "ssdreal"
    assert [path.name for path in folder.iterdir()] == ["config.json"]
    monkeypatch.setattr(gguf_weights, "_convert", None)  # not again
    assert gguf_weights.converted_folder.__wrapped__() == folder
    assert list(folder.parent.iterdir()) == [folder]


def test_who_unpacks_second_takes_the_first_one_s(monkeypatch, tmp_path):
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path))
    monkeypatch.setattr(gguf_weights, "_convert", written)
    first = gguf_weights.converted_folder.__wrapped__()
    first.rename(tmp_path / "elsewhere")

    def meanwhile(source: Path, folder: Path) -> None:
        written(source, folder)
        (tmp_path / "elsewhere").rename(first)

    monkeypatch.setattr(gguf_weights, "_convert", meanwhile)
    assert gguf_weights.converted_folder.__wrapped__() == first
    assert list(first.parent.iterdir()) == [first]


def test_where_nothing_can_be_kept_the_unpacked_target_lasts_as_long_as_the_process(
    monkeypatch, tmp_path
):
    (tmp_path / "file").write_text("")
    monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / "file"))
    monkeypatch.setattr(gguf_weights, "_convert", written)
    registered = []
    monkeypatch.setattr("atexit.register", lambda *call, **_: registered.append(call[1]))
    folder = gguf_weights.converted_folder.__wrapped__()
    assert (folder / "config.json").is_file()
    assert registered == [folder]


def test_hub_files_leave_out_other_formats():
    assert "*.safetensors" in folders.FILES
    assert not any("bin" in pattern or "gguf" in pattern for pattern in folders.FILES)
