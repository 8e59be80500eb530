import json
import math

import numpy as np
import pytest

torch = pytest.importorskip("torch")
transformers = pytest.importorskip("transformers")

from ssdreal.distill import program as distill  # noqa: E402
from ssdreal.distill.draft import build, depth, frequent, grown  # noqa: E402
from ssdreal.distill.evaluation import score_all  # noqa: E402
from ssdreal.distill.export import packed, quantized, write_draft  # noqa: E402
from ssdreal.distill.generate import generate  # noqa: E402
from ssdreal.distill.hidden_states import fill, read, same_origin  # noqa: E402
from ssdreal.distill.training import (  # noqa: E402
    Imitation,
    Plan,
    sample_batches,
    step_of,
    train,
)
from ssdreal.distill.training_text import FIELDS, Text, kind_of, read_text, split  # noqa: E402
from ssdreal.models.draft_format import read_draft  # noqa: E402
from ssdsim.errors import ConfigError, RunError  # noqa: E402

VOCABULARY = 64


@pytest.fixture(scope="module")
def target():
    torch.manual_seed(0)
    config = transformers.LlamaConfig(
        hidden_size=32,
        intermediate_size=64,
        num_hidden_layers=3,
        num_attention_heads=4,
        num_key_value_heads=2,
        vocab_size=VOCABULARY,
        initializer_range=0.3,
        tie_word_embeddings=True,
    )
    model = transformers.LlamaForCausalLM(config).to(torch.bfloat16).eval()
    return model.requires_grad_(requires_grad=False)


@pytest.fixture(scope="module")
def text(target):
    torch.manual_seed(1)
    starts = torch.randint(3, VOCABULARY, (48, 4))
    written = target.generate(
        starts, do_sample=True, max_new_tokens=20, min_new_tokens=20, pad_token_id=0, top_k=0
    )
    return Text(
        tokens=written.flatten().numpy(),
        offsets=np.arange(49) * 24,
        prefix=np.full(48, 1),
        answer=np.full(48, 4),
        temperature=np.tile(np.array([0.0, 1.0], dtype=np.float32), 24),
    )


def head_of(target):
    return target.get_output_embeddings().weight.detach()


def test_a_few_steps_of_training_lower_the_loss(target, text, tmp_path):
    paths = fill(tmp_path, "train", target, text, list(range(48)))
    ids = torch.arange(0, VOCABULARY, 2, dtype=torch.int32)
    draft = build(target, 2, ids, None)
    losses = []
    plan = Plan(tokens=48 * 24 * 20, rate=3e-3, warmup=5)
    rows = head_of(target)[ids.long()]
    stream = sample_batches(paths, text, plan)
    seen = train(draft, rows, stream, plan, lambda _step, _tokens, loss: losses.append(loss))
    assert seen == plan.tokens
    assert np.mean(losses[-6:]) < 0.9 * np.mean(losses[:6])
    assert torch.equal(draft.model.embed_tokens.weight, target.model.embed_tokens.weight)


def test_a_loss_that_is_no_number_ends_the_training(target, monkeypatch):
    draft = build(target, 1, torch.arange(8, dtype=torch.int32), None)
    before = draft.lm_head.weight.clone()
    nan = draft.lm_head.weight.sum() * torch.nan
    monkeypatch.setattr("ssdreal.distill.training.loss_of", lambda *_: nan)
    with pytest.raises(RunError, match=r"^the loss came to nan: the target"):
        step_of(draft, None, None, [])
    assert torch.equal(draft.lm_head.weight, before)


def test_the_written_gradient_is_that_of_the_loss():
    torch.manual_seed(0)
    hidden, head = torch.randn(5, 8, requires_grad=True), torch.randn(7, 8, requires_grad=True)
    wanted = torch.randn(5, 7)
    Imitation.apply(hidden, head, wanted).backward()
    mine = hidden.grad.clone(), head.grad.clone()
    hidden.grad = head.grad = None
    logq, p = (hidden @ head.T).log_softmax(-1), wanted.softmax(-1)
    divergence = (p * (p.log() - logq)).sum(-1).mean()
    likely = 0.8 * divergence + 0.2 * torch.nn.functional.nll_loss(logq, wanted.argmax(-1))
    accepted = torch.minimum(p, logq.exp()).sum(-1)
    plain = (likely - (0.05 + accepted).log().mean()) / 2
    assert Imitation.apply(hidden, head, wanted).item() == pytest.approx(plain.item(), abs=1e-5)
    plain.backward()
    assert torch.allclose(mine[0], hidden.grad, atol=1e-6)
    assert torch.allclose(mine[1], head.grad, atol=1e-6)


def test_states_times_the_head_are_the_targets_logits(target, text, tmp_path):
    indices = [5, 0, 7]
    (path,) = fill(tmp_path, "held", target, text, indices)
    samples = read(path, text)
    assert [sample.index for sample in samples] == indices
    one = samples[0]
    with torch.no_grad():
        alone = target(torch.from_numpy(one.tokens)[None]).logits[0]
    assert torch.allclose((one.states @ head_of(target).T).float(), alone.float(), atol=0.2)


def test_a_shard_is_computed_once(target, text, tmp_path):
    (tmp_path / "train-00000.claimed").touch()
    assert fill(tmp_path, "train", target, text, [1, 2]) == []


def test_int8_is_within_half_a_scale_and_comes_back(target, tmp_path):
    ids = torch.arange(3, 40, dtype=torch.int32)
    draft = build(target, 2, ids, None)
    size = write_draft(tmp_path, {"embedding": "target"}, draft.weights(), ids)
    assert size == (tmp_path / "model.safetensors").stat().st_size
    weights, back = read_draft(tmp_path)
    assert torch.equal(back.int(), ids)
    assert set(weights) == set(draft.weights())
    for name, weight in draft.weights().items():
        step = quantized(weight)[1][:, None] if weight.dim() == 2 else torch.tensor(0.0)
        assert ((weights[name].float() - weight.float()).abs() <= step / 2 + 1e-6).all()
    kinds = {name: weight.dtype for name, weight in packed(draft.weights()).items()}
    assert kinds["lm_head.weight"] == torch.int8
    assert kinds["lm_head.weight_scale"] == torch.float32
    assert kinds["norm.weight"] == torch.bfloat16


def test_the_head_has_the_most_frequent_tokens_in_order(text):
    ids = frequent(text, list(range(48)), 10, VOCABULARY)
    counts = np.bincount(text.tokens, minlength=VOCABULARY)
    assert ids.tolist() == sorted(ids.tolist())
    assert counts[ids.numpy()].min() >= np.delete(counts, ids.numpy()).max()
    with pytest.raises(ConfigError, match="--vocabulary=65"):
        frequent(text, [0], 65, VOCABULARY)


def test_a_draft_grows_before_its_last_layer(target):
    ids = torch.arange(VOCABULARY, dtype=torch.int32)
    small = build(target, 2, ids, None)
    large = grown(small.weights(), target, 3)
    assert depth(large) == 3
    last = "self_attn.q_proj.weight"
    assert torch.equal(large[f"layers.2.{last}"], small.weights()[f"layers.1.{last}"])
    assert torch.equal(large[f"layers.1.{last}"], target.model.state_dict()[f"layers.1.{last}"])
    with pytest.raises(ConfigError, match=r"--layers=1: .* has 2"):
        grown(small.weights(), target, 1)


def test_weights_of_another_shape_are_refused(target):
    ids = torch.arange(VOCABULARY, dtype=torch.int32)
    weights = build(target, 2, ids, None).weights()
    weights["norm.weight"] = torch.ones(5)
    with pytest.raises(ConfigError, match=r"^--start: the weights do not fit the target: [^\n]+$"):
        build(target, 2, ids, weights)


def test_held_out_turns_are_not_trained_on():
    turns = [1, 2, 3, 1, 2, 3]
    rows = [[0, turn, 9, 9] for turn in turns]
    text = Text(np.concatenate(rows), np.arange(7) * 4, *np.array([[1] * 6, [2] * 6]), np.zeros(6))
    train_on, held = split(text, 1, 0)
    assert held == [3]
    assert sorted(train_on) == [1, 2, 4, 5]
    with pytest.raises(ConfigError, match=r"--held=4: hold out 1 to 3 of 6"):
        split(text, 4, 0)


def test_kinds():
    assert kind_of("Summarize this") == "summary"
    assert kind_of("A Python function") == "code"
    assert kind_of("How many apples") == "maths"
    assert kind_of("Hello") == "chat"


class Tokenizer:
    chat_template = "yes"

    def apply_chat_template(self, turn, **_options):
        return f"ab{turn[0]['content']}cd"

    def encode(self, text, **_options):
        return [ord(letter) % VOCABULARY for letter in text]

    def decode(self, ids):
        return str(ids)


def test_a_target_writes_its_own_text(target):
    text = generate(target, Tokenizer(), 5, 0)
    assert len(text) == 5
    assert (text.prefix == 2).all()
    stop = ord("c") % VOCABULARY
    for i in range(5):
        assert text.turn(i)[-2:].tolist() == [stop, stop + 1]
        assert stop not in text[i][text.answer[i] :]


def test_states_of_another_text_are_refused(text, tmp_path):
    same_origin(tmp_path, "one", text, 0, 4)
    same_origin(tmp_path, "one", text, 0, 4)
    with pytest.raises(ConfigError, match="--cache"):
        same_origin(tmp_path, "other", text, 0, 4)


def test_a_file_that_is_no_text_is_refused(tmp_path):
    np.savez(tmp_path / "half.npz", tokens=[1])
    with pytest.raises(ConfigError, match="arrays tokens, offsets"):
        read_text(tmp_path / "half.npz")


WHOLE = {"tokens": [1, 2, 3], "offsets": [0, 3], "prefix": [1], "answer": [2], "temperature": [0.0]}
CONTRADICTIONS = {
    "tokens": [[1.5, 2, 3], [1, 2], [-1, 2, 3], [[1, 2, 3]], []],
    "offsets": [[0, 2], [1, 3], [0], [0, 2, 3], [0, 4, 3]],
    "prefix": [[3], [-1], []],
    "answer": [[4], [0], 2],
    "temperature": [[np.nan], [0.0, 1.0], ["hot"]],
}


@pytest.mark.parametrize("field", FIELDS)
def test_a_text_whose_arrays_contradict_each_other_is_refused(field, tmp_path):
    file = tmp_path / "text.npz"
    np.savez(file, **WHOLE)
    assert len(read_text(file)) == 1
    for wrong in CONTRADICTIONS[field]:
        np.savez(file, **WHOLE | {field: wrong})
        with pytest.raises(ConfigError, match=r"^--text="):
            read_text(file)


@pytest.mark.parametrize("content", [b"", b"no", b"PK\x03\x04", b"\x80\x04.", b"\x93NUMPY\x01\x00"])
def test_bytes_that_are_no_text_are_refused(content, tmp_path):
    (tmp_path / "text.npz").write_bytes(content)
    with pytest.raises(ConfigError, match=r"^--text="):
        read_text(tmp_path / "text.npz")
    np.save(tmp_path / "one.npy", [1])
    for path in ("one.npy", ".", "nowhere"):
        with pytest.raises(ConfigError, match=r"^--text="):
            read_text(tmp_path / path)


@pytest.mark.parametrize(
    ("given", "message"),
    [
        (["--layers", "0"], "--layers=0: needs a number >= 1, at most 1,000"),
        (["--minutes", "-1"], "--minutes=-1.0: needs a number >= 0.001"),
        (["--start", "a", "--out", "a"], "--out='a': is where --start lies; name another folder"),
        (["--device", "abacus"], "--device='abacus': cpu, or cuda where torch sees a GPU"),
        (["--rate", "nan"], "--rate=nan: needs a number >= 1e-12, at most 1.0"),
        (["--minutes", "nan"], "--minutes=nan: needs a number >= 0.001"),
        (["--seed", "-1"], "--seed=-1: needs a number >= 0, at most 4,294,967,295"),
        (["--tokens", "x"], "--tokens: invalid int value: 'x'"),
        (["--layers", "31"], "--layers=31: needs at most the target's 30"),
        (["--vocabulary", "50000"], "--vocabulary=50000: needs at most the target's 49152"),
        (["--target", "nosuch"], "--target='nosuch': "),
        (["--start", "nowhere"], "--start='nowhere': needs the folder of a draft"),
        (["--text", "nowhere.npz"], "--text='nowhere.npz': cannot be read (No such file"),
        (["--cache", "/dev/null"], "--cache=/dev/null: cannot be written (Not a directory)"),
        (["--out", "/proc/nosuch"], "--out=/proc/nosuch: cannot be written ("),
        (["--nosuch"], "unrecognized arguments: --nosuch"),
    ],
)
def test_bad_input_is_one_line_before_anything_is_loaded(
    given, message, monkeypatch, tmp_path, capsys
):
    monkeypatch.delattr("ssdreal.models.checkpoints.huggingface")
    assert distill.main(["--out", str(tmp_path / "out"), *given]) == 2
    line = capsys.readouterr().err
    assert line.startswith(f"ssdreal: {message}")
    assert line.count("\n") == 1


def test_a_draft_is_replaced_if_that_is_asked_for(monkeypatch, tmp_path, capsys):
    (tmp_path / "model.safetensors").touch()
    monkeypatch.setattr(distill, "run", lambda *_: None)
    assert distill.main(["--out", str(tmp_path)]) == 2
    assert "holds a draft already; name another, or add --overwrite" in capsys.readouterr().err
    assert distill.main(["--out", str(tmp_path), "--overwrite"]) == 0


def test_tokens_that_the_target_lacks_are_refused(target, text):
    given = Text(**vars(text) | {"tokens": text.tokens + VOCABULARY})
    options = distill.parser().parse_args(["--out", "x", "--text", "file.npz"])
    with pytest.raises(
        ConfigError, match=r"^--text='file.npz': has token \d+, the target knows 64"
    ):
        distill.load_text(options, target, given)


def test_the_command_end_to_end(target, text, tmp_path, monkeypatch):
    monkeypatch.setattr("ssdreal.models.checkpoints.huggingface", lambda _name, _dtype: target)
    monkeypatch.setattr("ssdreal.models.tokenizers.tokenizer", lambda _name: Tokenizer())
    np.savez(tmp_path / "text.npz", **vars(text))
    shared = ["--text", str(tmp_path / "text.npz"), "--held", "6", "--tokens", "600"]
    first, second = tmp_path / "first", tmp_path / "second"
    made = ["--layers", "2", "--vocabulary", "32", "--out", str(first)]
    assert distill.main([*shared, *made]) == 0
    again = ["--layers", "3", "--start", str(first), "--out", str(second)]
    assert distill.main([*shared, *again]) == 0
    config = json.loads((second / "config.json").read_text())
    assert config["num_hidden_layers"] == 3
    assert config["draft_vocab_size"] == 32
    assert config["embedding"] == "target"
    assert config["vocab_size"] == VOCABULARY
    card = (second / "README.md").read_text()
    assert "the draft it started from" in card
    assert "nan" not in card


def test_scores_of_the_target_itself_are_perfect(target, text, tmp_path):
    (path,) = fill(tmp_path, "held", target, text, [0, 1])
    whole = build(target, 3, torch.arange(VOCABULARY, dtype=torch.int32), None)
    for scores in score_all(whole, head_of(target), read(path, text)):
        assert scores.overlap.mean() > 0.9
        assert math.isclose(scores.accept.mean(), 1, abs_tol=0.1)
