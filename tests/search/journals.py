#!/usr/bin/env python3
# SPDX-License-Identifier: Apache-2.0
"""journals.py - damaged and foreign journals: each is refused with its own sentence and exit code, and nothing is written."""
import pathlib, shutil, sqlite3, sys

sys.path.insert(0, str(pathlib.Path(__file__).parents[1] / "tools"))
import evo

NODES = {**{n: s for n, s in evo.sources().items() if n != "base"}, "blend": {"use": "merge.linear", "in": [{"from": "ja", "weight": {"evolve": [0, 1]}}, "math"]},
         "solved": evo.exact_match(["blend"], limit=6), "best": {"use": "optimizer.cma-es", "maximize": ["solved"], "trials": 6},
         "exam": evo.exact_match(["best"], limit=6)}


def sql(*statements):
    def do(db):
        with sqlite3.connect(db) as c:
            for s in statements:
                c.execute(s)
        c.close()
    return do


def put(data):
    return lambda db: db.write_bytes(data)


def cut(share):
    return lambda db: db.write_bytes(db.read_bytes()[:int(db.stat().st_size * share) // 4096 * 4096])


def scribble(db):
    data = bytearray(db.read_bytes())
    for page in range(1, len(data) // 4096):
        data[page * 4096:page * 4096 + 64] = b"\xa5" * 64
    db.write_bytes(data)


def replace_by_directory(db):
    db.unlink()
    db.mkdir()


JOURNAL = "{out}/journal.db: "
CASES = {  # name: (damage, exit code, message)
    "an empty file": (put(b""), 4, JOURNAL + "the journal is an empty file; start a new run"),
    "a text file": (put(b"trial,score\n1,0.5\n" * 300), 4, JOURNAL + "the journal is damaged (file is not a database); start a new run"),
    "a directory": (replace_by_directory, 4, JOURNAL + "the journal cannot be written (unable to open database file); make room and --resume"),
    "another database": (sql("PRAGMA application_id=0"), 4, JOURNAL + "is a database, but no evopipe journal; start a new run"),
    "a later format": (sql("PRAGMA user_version=7"), 4, JOURNAL + "is a journal of format 7, this evopipe writes format 2; resume with the one that made it"),
    "cut in half": (cut(.5), 4, JOURNAL + "the journal is damaged (database disk image is malformed); start a new run"),
    "scribbled over": (scribble, 4, JOURNAL + "the journal's pages are damaged; start a new run"),
    "without trials": (sql("DROP TABLE trials"), 4, JOURNAL + "the journal lacks what a run needs (no such table: trials); start a new run"),
    "without a column": (sql("ALTER TABLE items RENAME COLUMN scores TO score_list"), 4,
                         JOURNAL + "the journal lacks what a run needs (no such column: scores); start a new run"),
    "odd item scores": (sql("UPDATE items SET scores=x'00112233445566' WHERE trial=2"), 4,
                        JOURNAL + "a row of item scores has 7 bytes, no multiple of 8; start a new run"),
    "fewer item scores": (sql("UPDATE items SET scores=zeroblob(24) WHERE trial=2"), 4,
                          JOURNAL + "best: trial 2 has another number of item scores than the others, of \"solved\"; start a new run"),
    "no item scores": (sql("DELETE FROM items WHERE trial=1"), 4, JOURNAL + "best: trial 1 lacks the scores of \"solved\"; start a new run"),
    "no score": (sql("UPDATE items SET score=NULL WHERE trial=3"), 4, JOURNAL + "best: trial 3 has no finite score of \"solved\"; start a new run"),
    "an unknown status": (sql("UPDATE trials SET status='maybe' WHERE trial=0"), 4,
                          JOURNAL + "trial 0 of best is \"maybe\", neither ok nor failed; start a new run"),
    "other genes": (sql("UPDATE trials SET genes='{\"blend.ja.weight\":0.25}' WHERE trial=4"), 2,
                    "best: trial 4 of the journal has other genes than this run asks for; it was made by another evopipe or pipeline; start a new run"),
    "another machine": (sql("UPDATE meta SET value='abacus' WHERE key='numerics'"), 2, None),
    "another pipeline": (sql("UPDATE meta SET value='2' WHERE key LIKE 'pipeline /seed%'"), 2, None),
    "another source": (sql("UPDATE meta SET value='0' WHERE key LIKE 'source %mini-ja'"), 2,
                       "{out}: source " + str(evo.TINY / "mini-ja") + " has changed since the run began; put it back, or start a new run with --out"),
    "other data": (sql("UPDATE meta SET value='0' WHERE key LIKE 'data %'"), 2,
                   "{out}: data " + str(evo.EXAMPLES / "ja-evolve.jsonl") + " has changed since the run began; put it back, or start a new run with --out"),
    "another plugin": (sql("UPDATE meta SET value='0' WHERE key LIKE 'plugin merge.linear'"), 2,
                       "{out}: plugin merge.linear has changed since the run began; put it back, or start a new run with --out"),
}

with evo.folder() as name:
    folder = pathlib.Path(name)
    file = evo.write(folder, "p.json", evo.pipeline(NODES))
    result = evo.run("run", file, "--out", folder / "good")
    evo.check("the run to be damaged", result.returncode == 0, result.stderr)
    seen = {}
    for case, (damage, code, message) in CASES.items():
        out = folder / "bad"
        shutil.rmtree(out, ignore_errors=True)
        shutil.copytree(folder / "good", out)
        (out / "scores.json").unlink()
        damage(out / "journal.db")
        result = evo.run("run", file, "--out", out, "--resume")
        said = result.stderr.removeprefix("evopipe: ").strip().replace(str(out), "{out}")
        evo.check(f"{case}: exit {code}", result.returncode == code, f"{result.returncode} {result.stderr}")
        if message is not None:
            evo.check(f"{case}: its sentence", said == message, f"said:     {said}\nexpected: {message}")
        evo.check(f"{case}: one line", result.stderr.count("\n") == 1, result.stderr)
        evo.check(f"{case}: a sentence of its own", said not in seen, f"as {seen.get(said)}: {said}")
        evo.check(f"{case}: nothing is written", not (out / "scores.json").exists())
        seen[said] = case
    result = evo.run("run", file, "--out", folder / "good")
    evo.check("an existing run is not overwritten", result.returncode == 2 and "--resume goes on with it" in result.stderr, result.stderr)
    result = evo.run("run", file, "--out", folder / "good", "--resume", "--set", "best.trials=9")
    evo.check("a finished search goes on when its budget grows", result.returncode == 0 and "best: 9 trials" in result.stderr, result.stderr)
    result = evo.run("run", file, "--out", folder / "good", "--resume", "--set", "blend.normalize=false")
    evo.check("a changed parameter is another pipeline", result.returncode == 2 and "/nodes/blend/normalize" in result.stderr, result.stderr)
    result = evo.run("run", file, "--out", folder / "none", "--resume")
    evo.check("nothing to resume", result.returncode == 2 and "there is no run to resume" in result.stderr, result.stderr)
    file = evo.write(folder, "fisher.json", evo.pipeline({**NODES, "blend": {"use": "merge.fisher", "in": [
        {"from": "ja", "fisher": evo.fisher(folder, "fisher-ja.safetensors", "mini-ja"), "weight": {"evolve": [0, 1]}},
        {"from": "math", "fisher": evo.fisher(folder, "fisher-math.safetensors", "mini-math-en")}]}}))
    result = evo.run("run", file, "--out", folder / "fisher")
    evo.check("a search with files of tensors", result.returncode == 0, result.stderr)
    result = evo.run("run", file, "--out", folder / "fisher", "--resume", "--set", "best.trials=8")
    evo.check("it goes on", result.returncode == 0 and "best: 8 trials" in result.stderr, result.stderr)
    evo.fisher(folder, "fisher-math.safetensors", "mini-ja")
    result = evo.run("run", file, "--out", folder / "fisher", "--resume", "--set", "best.trials=9")
    evo.check("another file of tensors: exit 2 and its sentence", result.returncode == 2 and
              f"tensors {folder}/fisher-math.safetensors has changed since the run began; put it back" in result.stderr, result.stderr)
evo.finish()
