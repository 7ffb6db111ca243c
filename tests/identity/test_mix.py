"""Mixed and subtracted identities, and the merges of references, on real photos."""

from dataclasses import replace

import pytest
import torch
from hifi_portrait.identity.mix import AWAY, BETWEEN, mix_identities
from hifi_portrait.identity.refine import refine_faces
from hifi_portrait.identity.store import load_identity, save_identity
from hifi_portrait.models.merge import CONCAT, MERGES


@pytest.fixture(scope="module")
def other(references, network):
    """Another person, as far as the networks can tell: other embeddings, and one photo."""
    face = references.faces[0]
    stranger = replace(face, embedding=-face.embedding[::-1].copy(), source="stranger.jpg")
    return refine_faces(replace(references, faces=(stranger,)), network)


@pytest.mark.parametrize("merge", MERGES)
def test_merges_of_real_photos_can_be_saved(references, network, tmp_path, merge):
    identity = refine_faces(references, network, merge=merge)
    count = 3 if merge == CONCAT else 1
    assert identity.tokens.shape[1] == count * network.config.identity_tokens
    again = load_identity(save_identity(identity, tmp_path, merge))
    assert torch.equal(again.tokens, identity.tokens)
    assert (again.token_bias is None) == (identity.token_bias is None)
    if identity.token_bias is not None:
        assert torch.equal(again.token_bias, identity.token_bias)


def test_merges_are_told_apart(references, network):
    prints = {refine_faces(references, network, merge=merge).fingerprint for merge in MERGES}
    assert len(prints) == len(MERGES)


def test_the_ends_are_the_two_people(identity, other):
    for amount, wanted in ((0.0, identity), (1.0, other)):
        mixed = mix_identities(identity, other, amount)
        torch.testing.assert_close(mixed.tokens, wanted.tokens, rtol=1e-4, atol=1e-5)
        torch.testing.assert_close(mixed.embedding, wanted.embedding, rtol=1e-4, atol=1e-5)
        assert torch.equal(mixed.detail.tokens, wanted.detail.tokens)


def test_between_keeps_both_shares(identity, other):
    mixed = mix_identities(identity, other, 0.4)
    near, far = (float(mixed.embedding @ each.embedding) for each in (identity, other))
    assert near > far
    assert sum(mixed.weights[:3]) == pytest.approx(0.6)
    count = identity.detail.tokens.shape[1]
    assert mixed.detail.bias[:, count:].exp().sum() == pytest.approx(
        0.4 * float(other.detail.bias.exp().sum()), rel=1e-4
    )
    assert mixed.head is None
    assert mixed.sources == identity.sources + other.sources


def test_away_goes_beyond_the_second(identity, other):
    before = float(identity.embedding @ other.embedding)
    mixed = mix_identities(identity, other, 0.3, AWAY)
    assert float(mixed.embedding @ identity.embedding) < before
    assert float(mixed.embedding @ other.embedding) > 0.9
    torch.testing.assert_close(mixed.tokens.norm(dim=-1), other.tokens.norm(dim=-1))


def test_what_does_not_belong_together_is_refused(identity, other, references, network):
    with pytest.raises(ValueError, match="different HiFi-Net checkpoints"):
        mix_identities(identity, replace(other, checkpoint="another"), 0.5)
    with pytest.raises(ValueError, match="tokens; refine both with the same merge"):
        mix_identities(refine_faces(references, network, merge=CONCAT), other, 0.5)
    with pytest.raises(ValueError, match="amount must lie between 0 and 1"):
        mix_identities(identity, other, 1.5)
    with pytest.raises(ValueError, match="how must be one of"):
        mix_identities(identity, other, 0.5, BETWEEN.upper())
