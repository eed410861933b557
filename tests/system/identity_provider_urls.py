"""Where the provider of identity of the tests answers, and what it says of people; loaded by Django alone."""

from typing import Any

from django.contrib.auth.views import LoginView  # type: ignore[import-untyped]  # ships no types
from django.urls import include, path  # type: ignore[import-untyped]  # ships no types
from oauth2_provider.oauth2_validators import OAuth2Validator  # type: ignore[import-untyped]  # ships no types

__all__ = ["Claims", "urlpatterns"]


class Claims(OAuth2Validator):  # type: ignore[misc]  # it ships no types
    """Says name and groups."""

    oidc_claim_scope = None

    def get_additional_claims(self, request: Any) -> dict[str, object]:
        """Return what is said besides who it is."""
        groups = [each.name for each in request.user.groups.all()]
        return {"preferred_username": request.user.username, "groups": groups}


urlpatterns = [
    path("login/", LoginView.as_view()),
    path("o/", include("oauth2_provider.urls", namespace="oauth2_provider")),
]
