"""Trace digests of the published ids.

A change of a rule, of an observation or of the random streams shows here, and needs a new version of the id.
"""

from __future__ import annotations

__all__ = ["DIGESTS"]

DIGESTS = {
    "BPS-1-v0": "70e53aae89712adad6754c71952b9cda22ff7f540bb34f80872b5ef17df9f8c0",
    "BPS-2-v0": "2fcaa7a724f5f2b35d0d153dbb061bda4f6d599b50e422e5c5d3bb37456be1e1",
    "BPS-3-v0": "f06df922c4db8761d9372cae010053f407b0f121d49d6fb60179750f036e0b61",
    "BPS-4-v0": "44ad2cba8a49155fe644e9a66e86f0b74b257d939d5edc7264f3a1c59f7701fb",
    "BPS-5-v0": "32aa44ee10ddae667edf27bd823e90914e25995246f4e56502d59357dd88f662",
    "BPS-6-v0": "96b75c1e3bc6a2d61f964993e77653294c9ae9c59ca51a460d263f70f945a628",
}
