import pytest

from .models import brightness_model


@pytest.fixture(scope="session")
def model(tmp_path_factory):
    return brightness_model(tmp_path_factory.mktemp("model") / "best")


@pytest.fixture(autouse=True, scope="session")
def _own_cache(tmp_path_factory):
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("CTLNS_CACHE", str(tmp_path_factory.mktemp("cache")))
        yield
