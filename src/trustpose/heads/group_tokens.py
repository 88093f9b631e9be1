"""Trust in people grouped from a photo's maps: the head of `keypoint_tokens`, at the grouped keypoints."""

from jaxtyping import Float
from torch import Tensor, nn

from trustpose.codecs.group_tokens import GROUP_NUMBERS
from trustpose.heads.heads import Trust
from trustpose.heads.keypoint_tokens import KeypointTokens, TokenAnswers


class GroupTokens(nn.Module):
    """Maps `codecs.group_tokens` of `channels` features to all four fields of `Trust`.

    The features of `codecs.fields` count as features of the network. `presence` is the probability that the group
    is of one person; the other fields are given that it is. token, hidden, dropout: as of `KeypointTokens`. Raises
    ValueError for a size below 1.
    """

    def __init__(
        self, channels: int, keypoints: int = 17, *, token: int = 32, hidden: int = 128, dropout: float = 0.1
    ) -> None:
        super().__init__()
        sizes = (channels + GROUP_NUMBERS, 1, 1, keypoints)  # it reads no map as a whole
        self.head = KeypointTokens(*sizes, token=token, hidden=hidden, dropout=dropout, box=True, presence=True)

    def forward(self, tokens: Float[Tensor, "N K T"], whole: Float[Tensor, "N D"]) -> Trust:
        return self.head.trust(self.logits(tokens, whole))

    def logits(self, tokens: Float[Tensor, "N K T"], whole: Float[Tensor, "N D"]) -> TokenAnswers:
        """Return the input of `tokens_losses`."""
        return self.head.logits((tokens, whole))
