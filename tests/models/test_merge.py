"""How several references become one person's tokens."""

import pytest
import torch
import torch.nn.functional as F
from hifi_portrait.models import build
from hifi_portrait.models.merge import BEST, CONCAT, MEAN, MERGES, NORM, merged_tokens, token_bias
from hifi_portrait.models.tokens import FaceBatch

from .networks import SMALL, random_faces, randomise


def faces_of(embeddings, weights):
    nothing = torch.zeros(1, len(embeddings), 3, 1, 1)
    return FaceBatch(
        crops=nothing, coords=nothing, embeddings=embeddings[None], weights=torch.tensor([weights]).float()
    )


def project(embeddings):
    """Two tokens: the embedding, and its opposite."""
    return torch.stack([embeddings, -embeddings], 1)


@pytest.mark.parametrize("merge", MERGES)
def test_one_reference_is_itself_whatever_the_merge(merge):
    embedding = torch.randn(1, 6)
    tokens = merged_tokens(faces_of(embedding, [0.3]), merge, 2.0, project)
    torch.testing.assert_close(tokens, project(embedding * 2.0))


def test_norm_counts_directions_alone():
    embeddings = torch.tensor([[10.0, 0.0], [0.0, 1.0]])
    tokens = merged_tokens(faces_of(embeddings, [1, 1]), NORM, 1.0, project)
    assert tokens[0, 0, 0] == tokens[0, 0, 1]
    by_mean = merged_tokens(faces_of(embeddings, [1, 1]), MEAN, 1.0, project)
    assert by_mean[0, 0, 0] == 10 * by_mean[0, 0, 1]


def test_concat_keeps_all_tokens_side_by_side():
    embeddings = torch.randn(3, 4)
    tokens = merged_tokens(faces_of(embeddings, [1, 2, 3]), CONCAT, 1.0, project)
    torch.testing.assert_close(tokens, project(embeddings).flatten(0, 1)[None])


def test_bias_of_concat_weighs_like_repeated_references():
    assert token_bias(torch.tensor([2.0, 2.0]), 4) is None
    bias = token_bias(torch.tensor([3.0, 1.0]), 2)
    assert bias.shape == (1, 4)
    logits = torch.randn(4)
    weighted = (logits + bias[0]).softmax(0)
    repeated = torch.cat([logits[:2]] * 3 + [logits[2:]]).softmax(0)
    torch.testing.assert_close(weighted[:2], repeated[:6].reshape(3, 2).sum(0))


def test_best_of_each_token_leaves_a_stranger_out():
    person = F.normalize(torch.randn(1, 16), dim=-1)
    photos = person + 0.05 * torch.randn(3, 16)
    stranger = torch.randn(1, 16)
    embeddings = torch.cat([photos, stranger])
    tokens = merged_tokens(faces_of(embeddings, [1, 1, 1, 1]), BEST, 1.0, project)
    rows = [(tokens[0, 0] - photo).abs().max() for photo in embeddings]
    assert int(torch.stack(rows).argmin()) < 3
    assert min(rows) == 0


def test_best_never_takes_a_reference_of_weight_0():
    embeddings = torch.randn(3, 8)
    tokens = merged_tokens(faces_of(embeddings, [0, 0, 1]), BEST, 1.0, project)
    torch.testing.assert_close(tokens, project(embeddings[2:]))


@pytest.mark.parametrize("merge", MERGES)
def test_the_order_of_references_does_not_matter(merge):
    network = build(SMALL, seed=0).eval()
    randomise(network, 1)
    faces = random_faces(SMALL, 4, seed=2)
    turned = faces.each(lambda tensor: tensor.flip(0))
    with torch.no_grad():
        one, other = (network.refiner(each, merge)[0] for each in (faces, turned))
    count = SMALL.identity_tokens
    if merge == CONCAT:
        other = other.reshape(1, 4, count, -1).flip(1).flatten(1, 2)
    torch.testing.assert_close(one, other, rtol=1e-4, atol=1e-5)


def test_unknown_merge_is_refused():
    with pytest.raises(ValueError, match="merge must be one of weighted mean, norm"):
        merged_tokens(faces_of(torch.randn(1, 2), [1]), "median", 1.0, project)
