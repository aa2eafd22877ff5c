"""Trace digests of the published ids.

A change of a rule, of an observation or of the random streams shows here, and needs a new version of the id.
"""

from __future__ import annotations

__all__ = ["DIGESTS"]

DIGESTS = {
    "LBF-8x8-2p-3f-v0": "c1f9d3924858c90793ffef01284413ba0a4b05cb425395fb331b5a96a355558d",
    "LBF-10x10-3p-3f-v0": "ea943dc215d79b4f6fbd358891455e2852aad6d5b46b0d10b55b3908d826c2ee",
    "LBF-15x15-4p-5f-v0": "e25364d3a17c65cb098adff1c71468770b61260f5687a9cf22e004244f698106",
    "LBF-20x20-12p-10f-v0": "638686ec8da7e5cb3071f22ead8ebf9573d8a1435842db2794807c5eeca8478e",
    "LBF-8x8-2p-2f-coop-v0": "7740125dba730710e1f65fa9ac2f55b64b719ef7361319d28c20dfa02e7826ef",
    "LBF-10x10-3p-3f-2s-v0": "5809ae6f1e4c9264bfa0bbdb2d682e387a1b1d92e9c22a5bee0fc63cc59dbc28",
    "LBF-10x10-6p-5f-3t-v0": "8708c20328002a8e7f1bebf27143c22252ec55fd4e44d8ed577a6e8254e9da91",
    "LBF-15x15-12p-6f-3t-v0": "5b7d299c6276b114c614555e0efcbebca1892185d23243a5b319d4c4cf3212af",
    "LBF-15x15-12p-6f-3t-coop-v0": "9dce4a64d936e52ffd644efca8e3da27c59f1c7ef3bea0e9c238378cbf7adca0",
}
