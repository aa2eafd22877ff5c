"""What a run is: task, learner, scheme and seed, as frozen pydantic models with one canonical hash.

Every model is frozen and forbids unknown keys, so a typing error in a TOML file is an error and never a silent default.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Iterable
from typing import Annotated, Any, ClassVar, Literal, TypeAlias, get_args

from pydantic import (
    BaseModel,
    ConfigDict,
    Field,
    JsonValue,
    SerializerFunctionWrapHandler,
    ValidationError,
    field_validator,
    model_serializer,
    model_validator,
)

from adaps_envs.errors import nearest, quoted, suggest
from baselines.leaderboard.bounds import MIN_SPAN, Score
from baselines.leaderboard.errors import ConfigError
from baselines.leaderboard.files import canonical_json, check_storable, sha256_hex

__all__ = [
    "NAME_PATTERN",
    "PROTOCOL",
    "RESERVED_NAMES",
    "HELD_OUT",
    "REVEALED",
    "EvaluationSeeds",
    "LearnerConfig",
    "RunConfig",
    "SchemeConfig",
    "StoredModel",
    "SuiteConfig",
    "TaskConfig",
    "Tuning",
    "config_error",
    "evaluation_marks",
    "faults_of",
    "longest_training",
    "names_alike",
    "seeds_of",
]

Protocol: TypeAlias = Literal["1", "2"]

PROTOCOL: Protocol = "2"
"""Version of the evaluation protocol: seeds, points, metric. Numbers of different protocols are never compared.

Protocol 1 left hidden types in the roster's order, so that an agent's index told its type. Runs of it can be read and
verified.
"""

MAX_RUN_SEED = 99_999
_LANES_PER_SEED = 4_096
# Learners seed environments below 2**31, identity phase included; what is measured with lies above.
_EVALUATION_SEED_START = 3_000_000_000
_ABSOLUTE_SEED_START = 3_100_000_000
REFERENCE_SEED_START = 3_200_000_000

# Names become directories and table cells: no separator, no sign at an end, nothing that a shell or a browser reads.
NAME_PATTERN = "[A-Za-z0-9](?:[A-Za-z0-9._+-]{0,78}[A-Za-z0-9])?"
Name = Annotated[str, Field(pattern=f"^{NAME_PATTERN}$")]
Positive = Annotated[int, Field(ge=1, le=10**12)]
RunSeed = Annotated[int, Field(ge=0, le=MAX_RUN_SEED)]

HELD_OUT = "held_out.json"
"""File of a board: scores in episodes that were drawn when a row was added."""

REVEALED = "revealed"
"""Folder of an output directory: what runs played in the episodes of a revealed salt."""

# What else lies in an output directory, beside the directories of the tasks.
RESERVED_NAMES = frozenset(
    {
        "aggregate.json",
        "archive",
        "board.csv",
        "board.json",
        "board.md",
        HELD_OUT,
        "logs",
        "manifest.json",
        REVEALED,
        "sha256sums",
        "site",
        "suite.json",
    }
)
# A value is a part of the file that holds it, which may have some levels more.
_MAX_DEPTH = 48

_MOST_LAYERS = 64
_MOST_RUNS = 100_000
# Returns of a kind that one run may store: what reads many runs holds those of all.
_MOST_RETURNS = 1 << 18

# What the leaderboard itself hands to the learner; a suite that sets one of them would contradict the record.
RESERVED_SETTINGS = frozenset(
    {
        "policy", "env", "seed", "policy_kwargs", "num_lanes", "verbose", "device", "torch_threads",
        "_init_setup_model", "tensorboard_log",
    }
)  # fmt: skip
# What the leaderboard itself hands to the environment.
_RESERVED_PARAMS = frozenset({"deal_seed", "env_id", "num_envs", "num_threads", "seed"})
_RESERVED_POLICY_SETTINGS = frozenset(
    {"net_arch", "recurrent", "scheme", "scheme_kwargs", "num_agents", "seed", "action_mask"}
)

# Plainer than pydantic's own words, by its types of errors.
_WORDS = {
    "missing": "is missing",
    "tuple_type": "give a list",
    "list_type": "give a list",
    "dict_type": "give a table of keys",
    "model_type": "give a table of keys",
}


def _check_unique(what: str, names: list[str]) -> None:
    doubled = sorted(name for name, count in Counter(names).items() if count > 1)
    if doubled:
        raise ValueError(f"{what} holds {', '.join(doubled)} more than once")
    alike = names_alike(names)
    if alike is not None:
        raise ValueError(f"{what} holds {alike[0]} and {alike[1]}, which differ in case alone; give one another name")


def names_alike(names: Iterable[str]) -> tuple[str, str] | None:
    """Return two names that differ in case alone, as some file systems and most readers do not tell them apart."""
    seen: dict[str, str] = {}
    for name in names:
        if seen.setdefault(name.casefold(), name) != name:
            return seen[name.casefold()], name
    return None


def _check_known(table: str, given: dict[str, Any], known: list[str]) -> None:
    unknown = sorted(set(given) - set(known))
    if unknown:
        raise ValueError(f"{table} names {', '.join(unknown)}, not in the suite, which has {', '.join(known)}")


class StoredModel(BaseModel):
    """What is stored as JSON: frozen, without unknown keys, and nothing in it that could not be read back.

    Attributes:
        optional: keys that are left out while they have their default. Give this to a key that is added to a
            configuration: runs from before it existed keep their bytes and hashes.
        file_keys: keys that a suite's file may hold in this table besides; loading replaces them.
    """

    model_config = ConfigDict(frozen=True, extra="forbid", strict=False, validate_default=True)

    optional: ClassVar[frozenset[str]] = frozenset()
    file_keys: ClassVar[frozenset[str]] = frozenset()

    @field_validator("*", mode="after")
    @classmethod
    def _storable(cls, value: Any) -> Any:
        check_storable(value, _MAX_DEPTH)
        return value

    @model_serializer(mode="wrap")
    def _dump(self, handler: SerializerFunctionWrapHandler) -> dict[str, Any]:
        defaults = {name: type(self).model_fields[name].default for name in self.optional}
        dumped: dict[str, Any] = handler(self)
        return {name: value for name, value in dumped.items() if name not in defaults or value != defaults[name]}


class TaskConfig(StoredModel):
    """One task: an environment, a budget and a way to score.

    ``budget`` counts environment steps (one step of one lane moves all N agents), identity steps included. The
    reference scores are team returns (summed over agents and steps) of random play and of the scripted policy that
    knows the types; they are frozen: a score of 0 and of 1 means them. Both may be absent for a run that is not ranked.
    ``scored`` says whose returns are the score: play with the most likely actions (``greedy``) or with sampled ones.
    """

    optional = frozenset({"scored"})
    file_keys = frozenset({"task"})

    name: Name
    env: str
    params: dict[str, JsonValue] = {}
    budget: Positive
    eval_points: Annotated[int, Field(ge=2, le=10_000)] = 41
    eval_episodes: Annotated[int, Field(ge=1, le=100_000)] = 32
    absolute_episodes: Annotated[int, Field(ge=1, le=100_000)] = 320
    metric: Literal["return_sum"] = "return_sum"
    scored: Literal["greedy", "sampled"] = "greedy"
    random_score: Score | None = None
    scripted_score: Score | None = None

    @field_validator("name")
    @classmethod
    def _not_reserved(cls, name: str) -> str:
        if name.casefold() in RESERVED_NAMES:
            raise ValueError("the leaderboard has a file or folder of this name; give the task another one")
        return name

    @model_validator(mode="after")
    def _check(self) -> TaskConfig:
        low, high = self.random_score, self.scripted_score
        if (low is None) != (high is None):
            raise ValueError("give both random_score and scripted_score, or neither")
        if low is not None and high is not None and high <= low:
            raise ValueError(f"scripted_score {high} must be above random_score {low}")
        if low is not None and high is not None and high - low < MIN_SPAN:
            raise ValueError(f"scripted_score {high} is less than {MIN_SPAN:g} above random_score {low}")
        clash = sorted(_RESERVED_PARAMS & self.params.keys())
        if clash:
            raise ValueError(f"params may not hold {', '.join(clash)}; the leaderboard sets it itself")
        if (returns := self.eval_points * self.eval_episodes) > _MOST_RETURNS:
            raise ValueError(
                f"{self.eval_points} eval_points of {self.eval_episodes} eval_episodes are {returns:,} returns; a run "
                f"stores {_MOST_RETURNS:,} at most"
            )
        if self.budget < self.eval_points - 1:
            raise ValueError(f"budget {self.budget} is too small for {self.eval_points} evaluation points")
        return self

    def normalise(self, score: Any) -> Any:
        """Map team returns to 0 (random play) .. 1 (scripted policy); numbers and arrays alike.

        Raises:
            ConfigError: the task has no reference scores.
        """
        if self.random_score is None or self.scripted_score is None:
            raise ConfigError(
                f"task {self.name!r} has no reference scores, so nothing can be normalised; "
                "measure them with `adaps leaderboard references` and put random_score and scripted_score in the task."
            )
        return (score - self.random_score) / (self.scripted_score - self.random_score)


class LearnerConfig(StoredModel):
    """The learner, the same for every scheme of a task.

    ``settings`` are stable-baselines3's own keyword arguments of the algorithm (``learning_rate``, ``n_steps``, ...),
    ``policy_settings`` those of the policy (``critic``, ``optimizer_kwargs``, ...). ``recurrent`` gives a gated
    recurrent unit to actor and critic (``gru``) or to the actor (``gru_actor``).
    """

    optional = frozenset({"recurrent"})

    algorithm: Literal["a2c", "ppo"] = "a2c"
    num_lanes: Annotated[int, Field(ge=1, le=_LANES_PER_SEED)] = 32
    net_arch: Annotated[tuple[Annotated[int, Field(ge=1, le=65_536)], ...], Field(max_length=_MOST_LAYERS)] = (64, 64)
    recurrent: Literal["none", "gru", "gru_actor"] = "none"
    learning_rate_schedule: Literal["constant", "linear"] = "constant"
    settings: dict[str, JsonValue] = {}
    policy_settings: dict[str, JsonValue] = {}

    @model_validator(mode="after")
    def _check_settings(self) -> LearnerConfig:
        clash = RESERVED_SETTINGS & self.settings.keys() | _RESERVED_POLICY_SETTINGS & self.policy_settings.keys()
        if clash:
            raise ValueError(f"{', '.join(sorted(clash))} cannot be set here; the leaderboard sets it itself")
        return self

    @model_validator(mode="after")
    def _check_schedule(self) -> LearnerConfig:
        if self.learning_rate_schedule == "linear" and "learning_rate" not in self.settings:
            raise ValueError("learning_rate_schedule = 'linear' needs learning_rate in settings to start from")
        return self


class Tuning(StoredModel):
    """How much search went into a scheme's settings before the runs that count, or how much may.

    ``configurations`` counts every setting that was tried, the chosen one included; ``env_steps`` the environment steps
    of all these trials together, over all tasks and seeds.
    """

    configurations: Annotated[int, Field(ge=0, le=10**9)] = 0
    env_steps: Annotated[int, Field(ge=0, le=10**15)] = 0

    def __str__(self) -> str:
        return f"{self.configurations:,} configurations, {self.env_steps:,} environment steps"


class SchemeConfig(StoredModel):
    """A sharing scheme and its own settings; ``label`` tells two settings of one scheme apart in the board.

    ``tuning`` is the scheme's entry in the tuning ledger; None where nobody searched for its settings.
    """

    optional = frozenset({"tuning"})

    name: Name
    label: Name = ""
    settings: dict[str, JsonValue] = {}
    tuning: Tuning | None = None

    @model_validator(mode="before")
    @classmethod
    def _default_label(cls, data: Any) -> Any:
        if isinstance(data, dict) and not data.get("label"):
            return {**data, "label": data.get("name", "unnamed")}  # that a name is missing is told once
        return data


class RunConfig(StoredModel):
    """One run: everything that its result depends on, and nothing else."""

    protocol: Protocol = PROTOCOL
    task: TaskConfig
    learner: LearnerConfig
    scheme: SchemeConfig
    seed: RunSeed

    @property
    def run_id(self) -> str:
        """``<task>/<scheme>/seed-<s>``, also the path of the run inside the output directory."""
        return f"{self.task.name}/{self.scheme.label}/seed-{self.seed}"

    @property
    def digest(self) -> str:
        """SHA-256 of the whole configuration, 64 hexadecimal digits."""
        return sha256_hex(canonical_json(self.model_dump(mode="json")))

    @property
    def context_digest(self) -> str:
        """SHA-256 of all but scheme and seed: two rows may be compared only where this is the same."""
        return sha256_hex(canonical_json(self.model_dump(mode="json", exclude={"scheme", "seed"})))


class SuiteConfig(StoredModel):
    """A list of tasks, schemes and seeds: the job matrix in short.

    ``learner`` holds for all tasks; ``learner_overrides`` replaces single fields of it for one task (``settings`` are
    merged key by key). ``task_seeds`` gives one task, by name, some of the seeds only. ``scheme_settings`` gives a
    scheme its own settings on every task. ``tuning_budget`` bounds what each scheme may have spent on tuning; without
    it, no scheme may have been tuned. ``seed_commitment`` is the SHA-256 of a salt that gives a second set of
    evaluation seeds, once it is revealed.
    """

    optional = frozenset({"task_seeds", "tuning_budget", "seed_commitment"})
    file_keys = frozenset({"extends"})

    name: Name
    description: str = ""
    protocol: Protocol = PROTOCOL
    schemes: tuple[SchemeConfig, ...] = Field(min_length=1)
    seeds: tuple[RunSeed, ...] = Field(min_length=1)
    task_seeds: dict[str, Annotated[tuple[RunSeed, ...], Field(min_length=1)]] = {}
    learner: LearnerConfig = LearnerConfig()
    learner_overrides: dict[str, dict[str, JsonValue]] = {}
    scheme_settings: dict[str, dict[str, JsonValue]] = {}
    tuning_budget: Tuning | None = None
    seed_commitment: Annotated[str, Field(pattern="^[0-9a-f]{64}$")] | None = None
    tasks: tuple[TaskConfig, ...] = Field(min_length=1)

    @field_validator("schemes", mode="before")
    @classmethod
    def _names_are_schemes(cls, value: Any) -> Any:
        if not isinstance(value, (list, tuple)):
            return value
        return [{"name": entry} if isinstance(entry, str) else entry for entry in value]

    @model_validator(mode="after")
    def _check(self) -> SuiteConfig:
        size = len(self.tasks) * len(self.schemes) * len(self.seeds)
        if size > _MOST_RUNS:
            raise ValueError(f"tasks x schemes x seeds are {size:,} runs; a suite has {_MOST_RUNS:,} at most")
        _check_unique("tasks", [task.name for task in self.tasks])
        _check_unique("schemes", [scheme.label for scheme in self.schemes])
        _check_unique("seeds", [str(seed) for seed in self.seeds])
        _check_known("task_seeds", self.task_seeds, [task.name for task in self.tasks])
        for name, some in self.task_seeds.items():
            _check_unique(f"task_seeds.{name}", [str(seed) for seed in some])
            if other := set(some) - set(self.seeds):
                raise ValueError(f"task_seeds.{name} has {min(other)}, which is none of the suite's seeds")
        _check_known("learner_overrides", self.learner_overrides, [task.name for task in self.tasks])
        _check_known("scheme_settings", self.scheme_settings, [scheme.name for scheme in self.schemes])
        for task in self.tasks:
            if task.random_score is None:
                raise ValueError(
                    f"task {task.name!r} has no random_score and scripted_score; a board normalises by them. "
                    "Measure them with `adaps leaderboard references --suite FILE.toml --write`"
                )
            try:
                self.learner_for(task.name)
            except ValidationError as error:
                raise ValueError(f"learner_overrides.{task.name}.{faults_of(error, LearnerConfig)}") from None
        self._check_tuning()
        return self

    def _check_tuning(self) -> None:
        allowed = self.tuning_budget or Tuning()
        for scheme in self.schemes:
            spent = scheme.tuning or Tuning()
            for what in Tuning.model_fields:
                if getattr(spent, what) > getattr(allowed, what):
                    raise ValueError(
                        f"scheme {scheme.label!r} was tuned with {what} = {getattr(spent, what):,}; this suite allows "
                        f"every scheme {getattr(allowed, what):,}. Raise tuning_budget.{what} for all of them, or give "
                        "the scheme settings that were found within it"
                    )

    def learner_for(self, task: str) -> LearnerConfig:
        """Return the learner of one task, its overrides applied."""
        override = self.learner_overrides.get(task, {})
        base = self.learner.model_dump()
        settings = override.get("settings", {})
        if not isinstance(settings, dict):
            raise ValueError(f"learner_overrides.{task}.settings must be a table")
        return LearnerConfig(**{**base, **override, "settings": {**base["settings"], **settings}})

    def seeds_for(self, task: str) -> tuple[int, ...]:
        """Return the seeds of one task."""
        return self.task_seeds.get(task, self.seeds)

    def runs(self) -> list[RunConfig]:
        """Return every run, ordered by task, then seed, then scheme: an interrupted suite compares all schemes."""
        return [
            RunConfig(
                protocol=self.protocol,
                task=task,
                learner=self.learner_for(task.name),
                scheme=scheme.model_copy(
                    update={"settings": {**self.scheme_settings.get(scheme.name, {}), **scheme.settings}}
                ),
                seed=seed,
            )
            for task in self.tasks
            for seed in self.seeds_for(task.name)
            for scheme in self.schemes
        ]


class EvaluationSeeds(StoredModel):
    """The environment seeds of a run; ranges ``[start, start + count)``, disjoint from each other by construction.

    Evaluation and absolute seeds do not depend on scheme or seed: all runs of a task meet the same episodes.
    """

    training_start: int
    training_count: int
    evaluation_start: int
    evaluation_count: int
    absolute_start: int
    absolute_count: int


def seeds_of(config: RunConfig) -> EvaluationSeeds:
    """Return the environment seeds that the protocol gives to a run."""
    return EvaluationSeeds(
        training_start=config.seed * _LANES_PER_SEED,
        training_count=config.learner.num_lanes,
        evaluation_start=_EVALUATION_SEED_START,
        evaluation_count=config.task.eval_episodes,
        absolute_start=_ABSOLUTE_SEED_START,
        absolute_count=config.task.absolute_episodes,
    )


def evaluation_marks(task: TaskConfig) -> list[int]:
    """Return the P environment-step marks at which a run is evaluated: equally spaced, 0 and the budget included."""
    return [point * task.budget // (task.eval_points - 1) for point in range(task.eval_points)]


def longest_training(budget: int) -> int:
    """Return how many environment steps a run may end with: the last rollout may go a quarter beyond the budget."""
    return budget + budget // 4


def config_error(source: str, error: ValidationError, model: type[BaseModel] | None = None) -> ConfigError:
    """Turn pydantic's report into one :class:`ConfigError` that names the source, each key and what was given."""
    faults = faults_of(error, model)
    return ConfigError(f"{source}: {faults}{'' if faults.endswith('?') else '.'}")


def faults_of(error: ValidationError, model: type[BaseModel] | None = None) -> str:
    """Return pydantic's report as ``key: rule (got value)``, one after the other.

    With the ``model`` that was validated, an unknown key comes with the known one that it resembles, in place of the
    complaint that this one is missing.
    """
    faults = error.errors(include_url=False, include_context=False)
    places = [fault["loc"] for fault in faults]
    told: list[tuple[tuple[int | str, ...], str]] = []
    meant: set[tuple[int | str, ...]] = set()
    for fault in faults:
        where = fault["loc"]
        if fault["type"] == "extra_forbidden":
            best, text = _known_key(str(where[-1]), where[:-1], model)
            meant.add((*where[:-1], best))
        elif fault["type"] == "too_short" and any(where == place[: len(where)] != place for place in places):
            continue  # the entries are there, and their faults are told
        else:
            text = _WORDS.get(fault["type"], fault["msg"].removeprefix("Value error, "))
            given = fault["input"]
            if isinstance(given, (str, int, float, bool, type(None))):
                text += f" (got {quoted(given)})"
        told.append((where, text))
    told.sort(key=lambda fault: not fault[1].startswith("unknown key"))  # what was meant before what is missing
    lines = [
        f"{'.'.join(str(part) for part in where) or 'the file'}: {text}"
        for where, text in told
        if not (text == _WORDS["missing"] and where in meant)
    ]
    return "; ".join(lines)


def _known_key(name: str, where: tuple[int | str, ...], model: type[BaseModel] | None) -> tuple[str, str]:
    """Return the key that an unknown one at a place of the model resembles most, empty if none, and what to say."""
    for part in where:
        field = None if model is None else model.model_fields.get(str(part))
        if field is not None:
            model = _model_in(field.annotation)
    if model is None:
        return "", "unknown key"
    known = [*model.model_fields, *getattr(model, "file_keys", ())]
    hint = nearest(name, known)
    best = next((key for key in known if hint.startswith(f"Did you mean {key!r}")), "")
    return best, f"unknown key. {hint or suggest(name, known).rstrip('.')}"


def _model_in(annotation: Any) -> type[BaseModel] | None:
    """Return the model of a field's annotation, as ``A`` of ``tuple[A, ...]``; None where it has none."""
    if isinstance(annotation, type) and issubclass(annotation, BaseModel):
        return annotation
    return next((found for inner in get_args(annotation) if (found := _model_in(inner)) is not None), None)
