"""The parts of a dispatcher: claims, spares, outages, sweeping, its Ray and its presence."""
