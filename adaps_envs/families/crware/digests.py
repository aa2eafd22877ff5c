"""Trace digests of the published ids.

A change of a rule, of an observation or of the random streams shows here, and needs a new version of the id.
"""

from __future__ import annotations

__all__ = ["DIGESTS"]

DIGESTS = {
    "CRWARE-tiny-4a-2c-v0": "01bf37d75d4a8cc75880854054e18815cd1bddd4121a834a289180fd18681f37",
    "CRWARE-tiny-4a-2c-hard-v0": "f8e693e86bb5471f633124ee2cc2771cf05a7ab3f84028d87fd23e738c844308",
    "CRWARE-tiny-4a-2c-easy-v0": "46e5fb1b3f380921b0a138b266ea59d77e2b23cc3a6a7d8fe116c19b3a1eee20",
    "CRWARE-small-8a-2c-v0": "2e5d10f4d5bf0af1cb893229f501e871b40f404b84e4af67283abacdc8061d09",
    "CRWARE-small-8a-2c-hard-v0": "6cc64d684d59cc7a0e4cb36ce07bde425e25fcfaf667e1c34d1ae4ebdcca3e8c",
    "CRWARE-small-8a-2c-easy-v0": "56113ff88b156b96b12edcf0b0a97437bcd9ca2901c7b2324251174204904d17",
    "CRWARE-medium-16a-2c-v0": "57d006f968a7797e679bbb335e7ba30890a0c7e27a6787ad52c3e5719ff3245c",
    "CRWARE-medium-16a-2c-hard-v0": "574b0b0e302bbcf910c6461abf0be08b2fdb064f678b1867a69ef21fea035076",
    "CRWARE-medium-16a-2c-easy-v0": "0e6471e979a6def3ab7cf8194f3b00d728ed5674823645133d62e43476ee7265",
    "CRWARE-small-9a-3c-v0": "2f710ca050da76131bf62197f2a80eef8828e1421eac72528958807582ebb95f",
    "CRWARE-large-12a-3c-v0": "1f7dda43aaa9fe9e374b1d37090204958b15ece32558d91108a761f20decdb27",
    "RWARE-tiny-4a-v0": "027a01eb065b8e68702827931986715f9cda00e0954c48d75fd5d1768bc95ba3",
    "RWARE-small-8a-v0": "7bf67e9e3cbbca6b6f5a347a8da16764fba6b4a52b883b497bf5dcc746392302",
    "RWARE-tiny-2a-v0": "3191848a8e2782808b43af5e5ff3da131bbea77c3aed8897666c31b6924bc012",
    "RWARE-tiny-4a-hard-v0": "54e7068dfba8cfcefad3c01e9b9f46d91c42d5ee556e4c720e8a62bd42715c02",
    "RWARE-small-4a-v0": "48ac55f3c84c48f09a267eb412aa10ca032271a4bea9582560260bd3ef953edd",
}
