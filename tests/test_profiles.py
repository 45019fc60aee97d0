"""Profiles of clusters: read as Snakemake reads them, and one of them run with stand-ins for the commands of its scheduler."""

import stat
from pathlib import Path

import pytest
import yaml
from conftest import ROOT, SMALL, Workflow
from snakemake.profiles import ProfileConfigFileParser
from snakemake.resources import Resource

from dagal import tasks
from dagal.plan import stages
from dagal.tasks import Stage

CLUSTERS = sorted(
    path.parent.name for path in (ROOT / "profiles").glob("*/config.yaml") if path.parent.name != "default"
)


def read(name: str) -> dict:
    """A profile as Snakemake makes options of the command line of it."""
    with (ROOT / "profiles" / name / "config.yaml").open() as file:
        return ProfileConfigFileParser().parse(file)


def of_gpus() -> set[str]:
    """The stages that may ask for a GPU."""
    every = stages.STAGES | stages.BY_PERSON
    for task in map(tasks.find, tasks.TASKS):
        every = every | dict(task.stages) | dict(task.by_person)
    return {name for name, stage in every.items() if stage.gpu is not Stage.__dataclass_fields__["gpu"].default}


def test_every_cluster_stands_in_the_guide():
    guide = (ROOT / "docs/clusters.md").read_text()
    assert CLUSTERS == ["htcondor", "lsf", "sge", "slurm"]
    assert [name for name in CLUSTERS if f"profiles/{name}" not in guide] == []


@pytest.mark.parametrize("name", CLUSTERS)
def test_profiles_cap_single_jobs_retry_and_rerun_as_on_one_machine(name):
    options, here = read(name), read("default")
    assert options["resources"] == ["mem_mb=180000", "runtime=1440"]
    assert options["set-resource-scopes"] == ["runtime=local"]  # else it would be a limit of all jobs together
    assert options["retries"] == "2" and "cores" not in options
    same = here.keys() - {"cores"}
    assert {key: options[key] for key in same} == {key: here[key] for key in same}


@pytest.mark.parametrize(
    ("name", "resource", "value"), [("lsf", "lsf_extra", "-gpu num=1"), ("htcondor", "request_gpus", 1)]
)
def test_where_no_plug_in_knows_gpus_the_profile_names_their_rules(name, resource, value):
    given = dict(entry.split(f":{resource}=") for entry in read(name)["set-resources"])
    assert given.keys() == of_gpus()
    evaluate = Resource.from_cli_expression(resource, given["train"]).evaluate
    assert evaluate(None, input=[], attempt=1, threads=1, rulename="train", async_run=None).value == value


def test_partitions_of_slurm_lie_beside_its_profile():
    path = Path(read("slurm")["slurm-partition-config"])
    limits = yaml.safe_load(path.read_text())["partitions"]
    assert path == ROOT / "profiles/slurm/partitions.yaml"
    assert limits["gpu"].pop("max_gpu") == 4 and limits["gpu"] == limits["cpu"]
    assert (limits["cpu"]["max_mem_mb"], limits["cpu"]["max_runtime"]) == (180000, 1440)


STAND_INS = {
    "qsub": """
        id=$$
        echo "$*" >> {folder}/submitted
        (bash "${{@: -1}}" > {folder}/$id.log 2>&1; echo $? > {folder}/$id.new; mv {folder}/$id.new {folder}/$id.done) < /dev/null > /dev/null 2>&1 &
        echo $id
    """,
    "qstat": '[ ! -e {folder}/"$2".done ]',
    "qacct": 'echo "failed       0"; echo "exit_status  $(cat {folder}/"$2".done)"',
}


@pytest.mark.slow
def test_jobs_go_through_the_commands_of_grid_engine(tmp_path, monkeypatch):
    """Submitted with memory, time and no GPU, their end seen by the status script."""
    commands, folder = tmp_path / "commands", tmp_path / "queue"
    commands.mkdir()
    folder.mkdir()
    for name, text in STAND_INS.items():
        (commands / name).write_text("#!/usr/bin/env bash\n" + text.format(folder=folder))
        (commands / name).chmod(stat.S_IRWXU)
    monkeypatch.setenv("PATH", str(commands), prepend=":")
    workflow = Workflow(tmp_path / "study", profile="sge")
    workflow.folder.mkdir()
    workflow.write(SMALL)
    images = "results/datasets/digits/images.h5"
    workflow.snakemake(images, "--seconds-between-status-checks", "1", "--resources", "mem_mb=700", "runtime=7")
    (submitted,) = (folder / "submitted").read_text().splitlines()
    assert "-pe smp 1 -l h_vmem=700M -l h_rt=420 " in submitted and " gpu=" not in submitted
    assert (workflow.folder / images).exists()
