# ---
# jupyter:
#   kernelspec:
#     display_name: Python 3
#     language: python
#     name: python3
# ---

# %% [markdown]
# # Radioactive decay

# %% tags=["parameters"]
half_life = 5.27  # years, cobalt-60
years = 10

# %%
import math

for year in range(years + 1):
    print(year, round(math.exp(-math.log(2) * year / half_life), 4))

# %%
# %timeit math.exp(1)
