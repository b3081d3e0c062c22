from django.urls import path

from . import views

urlpatterns = [
    path("order/<int:number>", views.order),
    path("fails/<int:number>", views.fails),
    path("version", views.version),
]
