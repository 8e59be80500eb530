"""Every option times every kind of wrong value, and what a command says to it."""

from dataclasses import dataclass

from hydra import compose, initialize
from hydra.core.hydra_config import HydraConfig
from hydra.errors import HydraException
from knobs import main_keys
from omegaconf import open_dict
from omegaconf.errors import OmegaConfBaseException

from ssdsim.command.choices import check_choices
from ssdsim.command.hydra_errors import explained
from ssdsim.errors import ConfigError
from ssdsim.options.plugins import options, plugins

VALUES = (
    *("null", "true", "-1", "0", "3", "0.5", "nan", "inf", "-inf", "1e400", "1e30", "''", "x"),
    *(str(10**6), str(10**9), str(10**12), str(2**63), str(10**30), "-1e-300", "1e-320"),
    *("[]", "[1]", "[-1]", "[x]", "[[1]]", "[null]", "[nan]", "[0,0]", "[1e30]", "[true]"),
    *("{}", "{a:1}", "{_target_:x}", "{_target_:os.system}", "{_target_:null}", "{_target_:[1]}"),
    *("'1'", "'{}'", "'a b'", "'\u00e9'", "'???'", "${seed}", "${nosuch}", "${oc.env:NOSUCH}"),
    *("${out}", "${lookahead}", "${.}", "${..}", "${method}", "'${'", "a.b", "a/b", "../x", "@x"),
    *("[${seed}]", "{a:${nosuch}}", "'${hydra:job.num}'", "${saguaro}", "1_000", "0x10", "1,2"),
    *("range(3)", "choice(1,2)", "glob(*)", "int(x)", "[", "{", "'", '"', "=", "", " ", "#", "?"),
)


@dataclass(frozen=True)
class Case:
    """Options that are right, and one that may be wrong."""

    right: tuple[str, ...]
    wrong: str

    def __str__(self):
        return " ".join((*self.right, self.wrong))


def keys(main, groups):
    """Yield every option: the main config's own, and every field of every plug-in, nested too."""
    yield from (((), key) for key in main_keys(main))
    for group in groups:
        for name, plugin in plugins(group).items():
            for field in options(plugin):
                yield (f"{group}={name}",), f"{group}.{field.name}"


def said(case, config_name, prepare):
    """Return None for a config that is possible, else the line that refuses it."""
    overrides = [*case.right, case.wrong]
    try:
        check_choices(overrides)
        config = composed(config_name, overrides)
        hydra = config.hydra
        with open_dict(config):
            del config["hydra"]
        keys = [str(key).lstrip("+~").partition("=")[0] for key in overrides]
        prepare(config, dict(hydra.runtime.choices), keys)
    except (HydraException, OmegaConfBaseException) as error:
        return explained(error)
    except ConfigError as error:
        return str(error)
    return None


def composed(config_name, overrides):
    """Compose a config as the command does."""
    with initialize(version_base="1.3", config_path=None):
        config = compose(config_name, overrides=overrides, return_hydra_config=True)
    HydraConfig.instance().set_config(config)
    return config
