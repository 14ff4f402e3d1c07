"""Settings of the policy/value network. Plain data: reading them must not cost the seconds that torch takes to import.

`metadata["help"]` is the text a person sees, with the paper's value where there is one; `min`, `max` and `choices`
are what the configuration reader checks before anything is built.
"""

from __future__ import annotations

from dataclasses import dataclass, field


@dataclass(frozen=True)
class NetConfig:
    """Shape of a `nets.PolicyValueNet`; the game supplies the sizes of input and output."""

    kind: str = field(
        default="auto",
        metadata={
            "help": "Architecture; auto takes resnet where the observation is a board [C, H, W] with H, W >= 3, nature "
            "for screens with H, W >= 36, else mlp (AlphaZero: resnet; DQN: nature); table has a number for every "
            "one-hot observation and action",
            "choices": ("auto", "resnet", "mlp", "nature", "table"),
        },
    )
    channels: int = field(
        default=64,
        metadata={
            "help": "Channels of the residual tower (AlphaZero: 256); of the first layer of nature, the others have "
            "twice as many (Mnih et al. 2015: 32)",
            "min": 1,
            "max": 4096,
        },
    )
    blocks: int = field(
        default=5,
        metadata={"help": "Residual blocks of two 3x3 convolutions each (AlphaZero: 19)", "min": 0, "max": 200},
    )
    hidden: int = field(
        default=256,
        metadata={
            "help": "Width of the hidden layers of an mlp (AlphaZero: none) and of the last one of nature (Mnih et al. "
            "2015: 512)",
            "min": 1,
            "max": 65536,
        },
    )
    layers: int = field(
        default=3,
        metadata={"help": "Hidden layers of an mlp (AlphaZero: none); 0 makes a linear one", "min": 0, "max": 100},
    )
    activation: str = field(
        default="relu",
        metadata={
            "help": "Between the layers of an mlp (PPO, Schulman et al. 2017: tanh)",
            "choices": ("relu", "tanh"),
        },
    )
    separate_value: bool = field(
        default=False,
        metadata={"help": "The value has a trunk of its own, not that of the policy (PPO for locomotion: true)"},
    )
    pooling_every: int = field(
        default=0,
        metadata={
            "help": "Number of blocks from one that sees the whole board, through global pooling, to the next; 0 for "
            "none (Wu 2019, section 3.3: 2 of 6 blocks)",
            "min": 0,
            "max": 200,
        },
    )
    heads: str = field(
        default="auto",
        metadata={
            "help": "Last layers of a resnet: planes has a number for each kind of move and cell, and a value from the "
            "mean and maximum of the board, so that the weights fit every size of board (AlphaZero's policy for chess; "
            "Wu 2019); dense reads the board as a whole (AlphaGo Zero); auto takes planes where the game says where "
            "its actions are",
            "choices": ("auto", "planes", "dense"),
        },
    )
    policy_channels: int = field(
        default=32,
        metadata={
            "help": "Channels of the 1x1 convolution of the policy head (AlphaGo Zero: 2)",
            "min": 1,
            "max": 4096,
        },
    )
    value_channels: int = field(
        default=32,
        metadata={"help": "Channels of the 1x1 convolution of the value head (AlphaZero: 1)", "min": 1, "max": 4096},
    )
    value_hidden: int = field(
        default=64,
        metadata={
            "help": "Width of the hidden layer of the value head, 0 for none (AlphaZero: 256)",
            "min": 0,
            "max": 65536,
        },
    )
    policy: str = field(
        default="auto",
        metadata={
            "help": "What the policy head gives; auto goes by the actions: logits of each of them, or for real numbers "
            "mean and logarithm of the standard deviation of a Gaussian",
            "choices": ("auto", "categorical", "gaussian"),
        },
    )
    reply_head: bool = field(
        default=False,
        metadata={
            "help": "Predict the move that follows the next one too, in training only (Wu 2019, section 3.4: true)"
        },
    )
    moves_left_head: bool = field(
        default=False,
        metadata={"help": "Predict how many moves are left, in training only (Leela Chess Zero: true)"},
    )
    ownership_head: bool = field(
        default=False,
        metadata={
            "help": "Predict whose each cell will be at the end, in training only, in games that have such labels "
            "(Wu 2019, section 3.5: true)"
        },
    )
    score_head: bool = field(
        default=False,
        metadata={
            "help": "Predict by how much the game will be won, in training only, in games that have a score (Wu 2019, "
            "section 3.5: true)"
        },
    )
    batch_norm: bool = field(
        default=True,
        metadata={"help": "Batch normalisation after every layer but the last of each head (AlphaZero: true)"},
    )
    input_transform: str = field(
        default="none",
        metadata={
            "help": "Applied to observations first: symlog for raw numbers such as tile values (DreamerV3: symlog), "
            "pixels divides by 255 (DQN), running takes away the mean seen so far and divides by the deviation (PPO "
            "for locomotion; not AlphaZero, DQN). none stands for pixels in environments that show bytes",
            "choices": ("none", "symlog", "pixels", "running"),
        },
    )
    value_transform: str = field(
        default="none",
        metadata={
            "help": "none: values in [-1, 1] through tanh; linear: any values, as they are; signed_sqrt: the same, "
            "learned on the scale h(x) of Pohlen et al. 2018 (AlphaZero: none, DQN: linear, MuZero on Atari: "
            "signed_sqrt). none stands for signed_sqrt in games with rewards on the way and for linear in environments",
            "choices": ("none", "linear", "signed_sqrt"),
        },
    )
    value_scale: float = field(
        default=1.0,
        metadata={
            "help": "with linear and signed_sqrt: the last layer's output times this is the value, so that the layer "
            "works with numbers near 1; about the square root of a good return (no paper: MuZero has a categorical "
            "value)",
            "min": 1e-3,
            "max": 1e6,
        },
    )

    @property
    def output_scale(self) -> float:
        """What the last layer's output is multiplied by to be a value; losses are measured in it. 1 through tanh."""
        return 1.0 if self.value_transform == "none" else self.value_scale
