"""The shape of a decoder-only transformer, and the counts that follow from it: parameters, FLOPs, adapters."""

from dataclasses import dataclass

from cloudcpt.plan.architectures import ARCHITECTURES, Architecture, Width


@dataclass(frozen=True, kw_only=True, slots=True)
class Sizes:
    """What config.json says about a model.

    Args:
        architecture: `model_type` of config.json.
        parameters: Of the whole model, a tied output embedding counted once.
        layers: Decoder layers.
        hidden_size: Width of the residual stream.
        intermediate_size: Width inside the feed-forward block.
        heads: Query heads of one layer.
        kv_heads: Key and value heads of one layer.
        head_dim: Width of one head; `heads * head_dim` need not be `hidden_size`.
        vocab_size: Rows of the embedding.
        tied_embeddings: Input and output embedding are one tensor.
        position_rows: Rows of the table of learned positions; 0 when there is none.
    """

    architecture: str = "llama"
    parameters: int
    layers: int
    hidden_size: int
    intermediate_size: int
    heads: int
    kv_heads: int
    head_dim: int
    vocab_size: int
    tied_embeddings: bool
    position_rows: int = 0

    @property
    def query_size(self) -> int:
        """Width of all query heads of a layer together."""
        return self.heads * self.head_dim

    @property
    def kv_size(self) -> int:
        """Width of all key heads of a layer together, and of all value heads."""
        return self.kv_heads * self.head_dim

    @property
    def embedding_parameters(self) -> int:
        """Parameters of one embedding."""
        return self.vocab_size * self.hidden_size

    @property
    def all_embedding_parameters(self) -> int:
        """Parameters of the input and the output embedding."""
        return self.embedding_parameters * (1 if self.tied_embeddings else 2)

    @property
    def position_parameters(self) -> int:
        """Parameters of the table of learned positions."""
        return self.position_rows * self.hidden_size

    @property
    def layer_parameters(self) -> int:
        """Parameters of one decoder layer, by sharing out all that is not embedding."""
        return (self.parameters - self.all_embedding_parameters - self.position_parameters) // self.layers

    @property
    def matmul_parameters(self) -> int:
        """Parameters that every token is multiplied with: looking up a token or a position costs nothing."""
        looked_up = 0 if self.tied_embeddings else self.embedding_parameters
        return self.parameters - looked_up - self.position_parameters

    def saved_bytes_per_position(self, *, compiled: bool = False) -> int:
        """Count the bytes that one layer keeps of one position for the backward pass, in bf16, recomputing nothing."""
        per = self._class.compiled_bytes if compiled else self._class.saved_bytes
        return (
            per.hidden * self.hidden_size
            + per.query_and_kv * (self.query_size + self.kv_size)
            + per.inner * self.intermediate_size
        )

    @property
    def product_widths(self) -> tuple[int, ...]:
        """Widths of what the linear maps of one layer give, in the order in which they are computed."""
        return tuple(sum(map(self._width, linear.outputs)) for linear in self._class.linears)

    def flops_per_token(self, seq_len: int, *, frozen_base: bool = False) -> int:
        """Count the floating-point operations of one trained token, forward and backward.

        The "full" convention: 6 N + 12 L H Q T, causality not discounted, recomputation not counted.

        Args:
            seq_len: T, positions in a row.
            frozen_base: Only adapters learn, so no weight gradients of the base: 4 N instead of 6 N.

        Source: PaLM, arXiv 2204.02311 appendix B, with N as torchtitan counts it.
        """
        return (4 if frozen_base else 6) * self.matmul_parameters + 12 * self.layers * self.query_size * seq_len

    def adapter_parameters(self, rank: int, target_modules: tuple[str, ...]) -> int:
        """Count the parameters of low-rank adapters: `rank * (in + out)` for each adapted matrix of each layer.

        Args:
            rank: r.
            target_modules: Names of linear modules; `all-linear` for all of them. Names that we do not know count as
                the widest, so that the estimate is not too small.
        """
        linears = self._class.linears
        spans = [(name, self._width(inputs) + sum(map(self._width, outputs))) for name, inputs, outputs in linears]
        if target_modules == ("all-linear",):
            return rank * self.layers * sum(span for _, span in spans)
        known, widest = {name for name, _ in spans}, max(span for _, span in spans)
        named = sum(span for name, span in spans if name in target_modules)
        return rank * self.layers * (named + widest * sum(name not in known for name in target_modules))

    @property
    def _class(self) -> Architecture:
        return ARCHITECTURES[self.architecture]

    def _width(self, width: Width) -> int:
        widths: dict[Width, int] = {
            "hidden": self.hidden_size,
            "query": self.query_size,
            "kv": self.kv_size,
            "inner": self.intermediate_size,
        }
        return widths[width]


STAND_IN_SIZES = Sizes(
    parameters=90_496,
    layers=2,
    hidden_size=64,
    intermediate_size=128,
    heads=4,
    kv_heads=2,
    head_dim=16,
    vocab_size=257,
    tied_embeddings=True,
)
"""The tiny model that `cloudcpt.train.stand_in` builds for a rehearsal; a test keeps the two equal."""
