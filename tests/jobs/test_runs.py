"""Runs that outlive their starter: started, watched, controlled, killed."""

import json
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import napari_ctlns
from napari_ctlns.dataset import prepare
from napari_ctlns.errors import OutputError, RunError
from napari_ctlns.events import (
    Failed,
    Finished,
    Log,
    Metric,
    Saved,
    Started,
    Uncontrolled,
    event_to_json,
)
from napari_ctlns.jobs import (
    RunFollower,
    control_run,
    detached,
    kill_run,
    run_status,
    start_training,
    watch,
)
from napari_ctlns.jobs.registry import JobKind
from napari_ctlns.jobs.run_folder import (
    EVENTS_FILE,
    LOCK_FILE,
    EventLog,
    Worker,
    is_live,
    locked,
    pid_alive,
    read_events,
    read_state,
    write_state,
)
from napari_ctlns.jobs.training import run_training
from napari_ctlns.phantom import PhantomSpec, write_cohort
from napari_ctlns.recipe import load_recipe
from napari_ctlns.specs import PrepareSpec, TrainSpec

HERE = Path(__file__).parent
SOURCE = Path(napari_ctlns.__file__).parents[1]


@pytest.fixture
def dataset(tmp_path):
    (tmp_path / "dataset").mkdir()
    (tmp_path / "dataset" / "dataset.json").write_text("{}")
    return tmp_path / "dataset"


@pytest.fixture
def start(dataset, tmp_path, monkeypatch):
    """Start a fake training detached; its process is killed when the test ends."""
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    pids = []

    def start(job="train", epochs=200, resume=False):
        def command(spec, run):
            return [sys.executable, str(HERE / "fake_jobs.py"), job, spec.model_dump_json()]

        monkeypatch.setattr(detached, "_command", command)
        recipe = load_recipe("ct-lns").with_changes({"optimisation.epochs": epochs})
        run = tmp_path / "run"
        pids.append(
            start_training(TrainSpec(dataset=dataset, out=run, recipe=recipe, resume=resume))
        )
        return run, pids[-1]

    yield start
    for pid in pids:
        if pid_alive(pid):
            os.kill(pid, signal.SIGTERM)


def wait_for(condition, seconds=20.0):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "waited in vain"
        time.sleep(0.02)


def test_a_detached_run_is_watched_from_its_beginning_to_its_end(start):
    run, pid = start(epochs=5)
    events = list(watch(run))
    assert events[0] == Started(title="train", pid=pid)
    assert [event.step for event in events if isinstance(event, Metric)] == [0, 1, 2, 3, 4]
    assert events[-2:] == [
        Saved(path=run / "last.pt", kind="checkpoint"),
        Finished(result={"steps": 5}),
    ]
    status = run_status(run)
    assert status.state == "finished"
    assert status.metrics == {"loss": 0.2}
    assert (status.progress.done, status.progress.total) == (5, 5)
    assert not (run / LOCK_FILE).exists()
    assert list(watch(run)) == events


def test_a_run_pauses_goes_on_and_stops(start):
    run, pid = start()
    wait_for(lambda: run_status(run).progress is not None)
    assert run_status(run).state == "running"

    control_run(run, "pause")
    wait_for(lambda: run_status(run).state == "paused", 5)
    time.sleep(0.2)
    done = run_status(run).progress.done
    time.sleep(0.4)
    assert run_status(run).progress.done == done

    control_run(run, "go")
    wait_for(lambda: run_status(run).state == "running", 5)
    wait_for(lambda: run_status(run).progress.done > done, 5)

    asked = time.monotonic()
    control_run(run, "stop")
    follower = RunFollower(run)
    while Log(message="stopping after this step") not in follower.poll():
        assert time.monotonic() - asked < 1
    last = list(watch(run))[-1]
    assert isinstance(last, Finished)
    assert last.stopped
    assert run_status(run).state == "stopped"
    wait_for(lambda: not pid_alive(pid))
    with pytest.raises(RunError, match="no training runs"):
        control_run(run, "go")


def test_a_stop_asked_before_the_process_is_up_is_obeyed(start):
    run, _ = start()
    control_run(run, "stop")
    assert list(watch(run))[-1] == Finished(result={"steps": 0}, stopped=True)


def test_a_stopped_run_is_resumed_into_the_same_events(start):
    run, _ = start(epochs=2)
    assert len([event for event in watch(run) if isinstance(event, Finished)]) == 1
    control = run / "control.json"
    control.write_text('{"command": "stop"}')  # from an earlier time
    start(epochs=3, resume=True)
    events = list(watch(run))
    ends = [event.result["steps"] for event in events if isinstance(event, Finished)]
    assert ends == [2, 3]


def test_a_run_is_not_overwritten(start):
    run, _ = start(epochs=1)
    before = list(watch(run))
    with pytest.raises(RunError, match="holds a run already"):
        start(epochs=1)
    assert list(watch(run)) == before


def test_a_killed_run_is_reported_in_words(start):
    run, pid = start()
    wait_for(lambda: run_status(run).progress is not None)
    os.kill(pid, getattr(signal, "SIGKILL", signal.SIGTERM))
    last = list(watch(run))[-1]
    assert isinstance(last, Failed)
    assert "ended without a word" in last.message
    assert "--resume" in last.message
    assert run_status(run).state == "died"
    assert run_status(run).metrics["loss"] <= 1


def test_a_run_that_died_before_it_worked_is_told_and_resumed(tmp_path, dataset, start):
    run = tmp_path / "run"
    run.mkdir()
    gone = write_state(run, "running").model_copy(update={"worker": dead_worker()})
    (run / "state.json").write_text(gone.model_dump_json())
    (last,) = watch(run)
    assert "go on with --resume" in last.message
    assert run_status(run).state == "died"
    (run / LOCK_FILE).write_text(gone.worker.model_dump_json())
    start(resume=True, epochs=2)
    wait_for(lambda: run_status(run).state == "finished")


def dead_worker():
    with subprocess.Popen([sys.executable, "-c", ""]) as process:
        process.wait()
    return Worker.this().model_copy(update={"pid": process.pid})


def test_a_run_can_be_killed_and_resumed(start):
    run, _ = start()
    wait_for(lambda: run_status(run).progress is not None)
    kill_run(run)
    wait_for(lambda: not is_live(run))
    assert run_status(run).state == "died"
    start(resume=True, epochs=3)
    wait_for(lambda: run_status(run).state == "finished")


def test_only_a_run_that_works_is_killed(tmp_path):
    with pytest.raises(RunError, match="no training runs"):
        kill_run(tmp_path)
    write_state(tmp_path, "starting")  # by this process, which must not be killed
    with pytest.raises(RunError, match="only starting"):
        kill_run(tmp_path)


def test_a_run_on_another_machine_is_not_killed(tmp_path):
    state = write_state(tmp_path, "running")
    elsewhere = state.model_copy(update={"worker": Worker(pid=1, host="elsewhere")})
    (tmp_path / "state.json").write_text(elsewhere.model_dump_json())
    with pytest.raises(RunError, match="works on elsewhere"):
        kill_run(tmp_path)


def test_a_run_that_dies_of_itself_is_reported_too(start):
    run, _ = start(job="die")
    *before, last = watch(run)
    assert [event.event for event in before] == ["started", "metric"]
    assert "ended without a word" in last.message


def test_what_ends_before_it_could_say_anything_is_told(start, monkeypatch):
    run, _ = start(job="no_such_job")
    last = list(watch(run))[-1]
    assert isinstance(last, Failed)
    assert run_status(run).state == "failed"


def test_a_process_that_cannot_start_is_told(dataset, tmp_path, monkeypatch):
    bad = [sys.executable, "-c", "raise SystemExit('error: no module')"]
    monkeypatch.setattr(detached, "_command", lambda *_: bad)
    run = tmp_path / "run"
    start_training(TrainSpec(dataset=dataset, out=run, recipe=load_recipe("ct-lns")))
    assert list(watch(run)) == [Failed(message="training did not start: no module")]


def test_the_real_command_is_started(dataset, tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    run = tmp_path / "run"
    recipe = load_recipe("ct-lns").with_changes({"optimisation.epochs": 7})
    with locked(run):  # so that it ends before it imports torch
        start_training(
            TrainSpec(dataset=dataset, out=run, recipe=recipe, start_from=dataset, device="cpu")
        )
        (last,) = watch(run)
    assert isinstance(last, Failed)
    assert last.message.startswith(f"training did not start: process {os.getpid()} on ")
    assert load_recipe(run / "asked.toml") == recipe
    assert run_status(run).state == "failed"


@pytest.mark.slow
def test_a_real_training_is_stopped_and_resumed_detached(tmp_path, monkeypatch):
    monkeypatch.setenv("PYTHONPATH", str(SOURCE))
    cohort, dataset, run = (tmp_path / name for name in ("cohort", "dataset", "run"))
    specs = [
        PhantomSpec(seed=seed, extent_mm=(60, 100, 120), spacing=(3, 2.5, 2.5), n_nodules=2)
        for seed in range(3)
    ]
    list(write_cohort(cohort, specs))
    recipe = load_recipe("ct-lns").with_changes(
        {
            "preparation.spacing_mm": 3.0,
            "patches.size": (16, 16, 16),
            "network.channels": (4, 8),
            "optimisation.epochs": 500,
        }
    )
    asked = PrepareSpec(
        source=cohort, out=dataset, recipe=recipe, annotations=cohort / "annotations.csv"
    )
    list(prepare(asked, Uncontrolled()))
    spec = TrainSpec(dataset=dataset, out=run, recipe=recipe, device="cpu")
    pid = start_training(spec)
    wait_for(lambda: "val/loss" in run_status(run).metrics, 120)
    control_run(run, "stop")
    last = list(watch(run))[-1]
    assert isinstance(last, Finished)
    assert last.stopped
    wait_for(lambda: not pid_alive(pid))
    epochs = last.result["epochs"]
    shorter = recipe.with_changes({"optimisation.epochs": epochs + 1})
    start_training(spec.model_copy(update={"recipe": shorter, "resume": True}))
    last = list(watch(run))[-1]
    assert isinstance(last, Finished)
    assert not last.stopped
    assert last.result["epochs"] == epochs + 1


@pytest.mark.skipif(sys.platform == "win32", reason="niceness is POSIX")
def test_a_detached_run_gives_way(start):
    run, pid = start()
    assert os.getpriority(os.PRIO_PROCESS, pid) >= 10
    assert os.getsid(pid) != os.getsid(0)
    group = Path(f"/proc/{pid}/autogroup")
    if group.exists():  # where sessions share the processor, niceness inside one means little
        assert group.read_text().split()[-1] == "10"
        assert os.sched_getscheduler(pid) == os.SCHED_IDLE
    control_run(run, "stop")
    wait_for(lambda: not pid_alive(pid))


def test_a_half_written_line_waits_for_its_other_half(tmp_path):
    write_state(tmp_path, "running")
    metric = event_to_json(Metric(name="loss", step=1, value=float("nan"))).encode()
    path = tmp_path / EVENTS_FILE
    path.write_bytes(event_to_json(Started(title="x")).encode() + b"\n" + metric[:9])
    follower = RunFollower(tmp_path)
    assert [event.event for event in follower.poll()] == ["started"]
    assert follower.poll() == []
    with path.open("ab") as file:
        file.write(metric[9:] + b"\n")
    (event,) = follower.poll()
    assert event.step == 1
    assert event.value != event.value  # NaN survives


def test_a_resumed_log_keeps_apart_from_half_a_line(tmp_path):
    (tmp_path / EVENTS_FILE).write_bytes(b'{"event": "met')
    with EventLog(tmp_path) as log:
        log.write(Log(message="on"))
    write_state(tmp_path, "running")
    assert RunFollower(tmp_path).poll() == [Log(message="on")]


def test_only_one_process_writes_into_a_run(tmp_path):
    wait = "import sys; print('up', flush=True); sys.stdin.read()"
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE}
    with subprocess.Popen([sys.executable, "-c", wait], **pipes) as other:
        lock = tmp_path / LOCK_FILE
        holder = Worker.this().model_copy(update={"pid": other.pid})
        lock.write_text(holder.model_dump_json())
        with pytest.raises(RunError, match=f"process {other.pid}"), locked(tmp_path):
            pytest.fail("locked twice")
        assert lock.exists()
        other.stdin.close()
        other.wait(10)
        with locked(tmp_path):  # its process is dead now
            assert json.loads(lock.read_text())["pid"] == os.getpid()
        assert not lock.exists()


def test_a_lock_of_another_machine_is_respected(tmp_path):
    lock = tmp_path / LOCK_FILE
    lock.write_text(Worker(pid=1, host="elsewhere").model_dump_json())
    with pytest.raises(RunError, match="elsewhere"), locked(tmp_path):
        pytest.fail("locked twice")


def test_a_folder_that_cannot_be_made_is_said(tmp_path):
    (tmp_path / "file").write_text("x")
    with pytest.raises(OutputError, match="cannot write run"), locked(tmp_path / "file" / "run"):
        pytest.fail("locked nothing")


def test_no_run_cannot_be_watched(tmp_path):
    with pytest.raises(RunError, match="is no run"):
        watch(tmp_path)


class TestRunTraining:
    """What `ctlns train` does, in this process."""

    @pytest.fixture(autouse=True)
    def _importable(self, monkeypatch):
        monkeypatch.syspath_prepend(str(HERE))

    def spec(self, dataset, run, epochs=3, **more):
        recipe = load_recipe("ct-lns").with_changes({"optimisation.epochs": epochs})
        return TrainSpec(dataset=dataset, out=run, recipe=recipe, **more)

    def test_it_leaves_its_events_and_no_lock(self, dataset, tmp_path, capsys):
        run = tmp_path / "deep" / "run"
        finished = run_training(self.spec(dataset, run), JobKind("fake_jobs", "train", TrainSpec))
        assert finished.result == {"steps": 3}
        assert read_state(run).state == "finished"
        assert not is_live(run)
        assert len(read_events(run)[0]) >= 5
        assert not (run / LOCK_FILE).exists()
        assert "train\n" in capsys.readouterr().err

    def test_what_an_earlier_start_was_asked_stops_no_later_one(self, dataset, tmp_path):
        run, kind = tmp_path / "run", JobKind("fake_jobs", "train", TrainSpec)
        run_training(self.spec(dataset, run, epochs=1), kind)
        # a detached start that died before it could work, and what it was asked meanwhile
        write_state(run, "starting")
        (run / "control.json").write_text('{"command": "stop"}')
        finished = run_training(self.spec(dataset, run, resume=True), kind)
        assert finished.result == {"steps": 3}
        assert not finished.stopped

    def test_further_processes_of_torchrun_work_without_a_word(
        self, dataset, tmp_path, capsys, monkeypatch
    ):
        interrupt = signal.getsignal(signal.SIGINT)
        environment = {"RANK": "1", "WORLD_SIZE": "2", "MASTER_ADDR": "here"}
        for name, value in environment.items():
            monkeypatch.setenv(name, value)
        run, kind = tmp_path / "run", JobKind("fake_jobs", "train", TrainSpec)
        run.mkdir()
        try:
            finished = run_training(self.spec(dataset, run), kind)
            with pytest.raises(SystemExit) as ended:
                run_training(self.spec(tmp_path / "none", run), kind)
        finally:
            signal.signal(signal.SIGINT, interrupt)
        assert finished.result == {"steps": 3}
        assert ended.value.code == 2
        assert [path.name for path in run.iterdir()] == ["recipe.toml"]  # by the fake itself
        assert capsys.readouterr() == ("", "")

    def test_bad_input_leaves_no_trace(self, tmp_path):
        run = tmp_path / "deep" / "run"
        with pytest.raises(Exception, match="no dataset"):
            run_training(
                self.spec(tmp_path / "none", run), JobKind("fake_jobs", "train", TrainSpec)
            )
        assert list(tmp_path.iterdir()) == []

    def test_bad_input_leaves_an_older_run_as_it_was(self, dataset, tmp_path):
        run, kind = tmp_path / "run", JobKind("fake_jobs", "train", TrainSpec)
        run_training(self.spec(dataset, run), kind)
        before = {path.name: path.read_bytes() for path in run.iterdir()}
        with pytest.raises(RunError, match="holds a run already"):
            run_training(self.spec(dataset, run), kind)
        with pytest.raises(Exception, match="no dataset"):
            run_training(self.spec(tmp_path / "none", run, resume=True), kind)
        assert {path.name: path.read_bytes() for path in run.iterdir()} == before
